#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of <dvs/container.h>, in a node of a lab: a line of JSON for each call comes in, ["create", {...}], one for each answer goes out. By libdvk itself, so
that the library is tested with it."""

import ctypes
import json
import os
import sys
from ctypes import byref, c_char, c_int, c_size_t, c_uint32, c_uint64, c_void_p

from dvsd import BUILD, ERROR_NAMES

STATES = {0: "", 1: "wanted", 2: "ready", 3: "broken", 4: "gone", 5: "leaving"}
PHASES = {0: "", 1: "creating", 2: "runs", 3: "failed", 4: "removing"}
ALL = 0xffffffff


class Refusal(ctypes.Structure):
    _fields_ = [("err", c_int), ("node", c_uint32), ("text", c_char * 256)]


class Node(ctypes.Structure):
    _fields_ = [("node", c_uint32), ("state", c_int), ("frozen", c_int), ("version", c_uint64)]


class Info(ctypes.Structure):
    _fields_ = [("dc", c_uint32), ("name", c_char * 64), ("owner_uid", c_uint32), ("phase", c_int), ("frozen", c_int), ("version", c_uint64), ("change", c_uint64),
                ("n_records", c_uint32), ("n_nodes", c_uint32), ("nodes", Node * 62)]


def bits(nodes):
    return sum(1 << node for node in nodes)


class Asker:
    def __init__(self):
        self.dvk = ctypes.CDLL(str(BUILD / "libdvk.so"))
        self.admin = c_void_p()
        err = self.dvk.dvk_admin_open(None, byref(self.admin))
        if err:
            raise SystemExit(ERROR_NAMES[err])

    def call(self, name, *args):
        return ERROR_NAMES[getattr(self.dvk, "dvk_" + name)(self.admin, *args)]

    @staticmethod
    def refusal(refusal):
        return None if refusal.err == 0 else [ERROR_NAMES[refusal.err], refusal.node, refusal.text.decode()]

    def create(self, name, nodes, description="{}", owner=ALL, timeout=30000):
        text = description.encode()
        dc, refusal = c_uint32(), Refusal()
        err = self.call("container_create", name.encode(), c_uint32(owner), c_uint64(bits(nodes)), text, c_size_t(len(text)), c_uint32(timeout), byref(dc),
                        byref(refusal))
        return {"err": err, "dc": dc.value, "refusal": self.refusal(refusal)}

    def remove(self, name, force=0, timeout=30000):
        return self.call("container_remove", name.encode(), c_int(force), c_uint32(timeout))

    def nodes(self, name, add=(), remove=(), timeout=30000):
        refusal = Refusal()
        err = self.call("container_nodes", name.encode(), c_uint64(bits(add)), c_uint64(bits(remove)), c_uint32(timeout), byref(refusal))
        return {"err": err, "refusal": self.refusal(refusal)}

    def freeze(self, name, on, timeout=30000):
        return self.call("container_freeze", name.encode(), c_int(on), c_uint32(timeout))

    def why(self, name, node):
        text = ctypes.create_string_buffer(256)
        err = self.call("container_why", name.encode(), c_uint32(node), text)
        return [err, text.value.decode()]

    def report(self, dc, state, text="", version=0, frozen=0):
        return self.call("container_report", c_uint32(dc), c_int(state), c_int(frozen), c_uint64(version), text.encode())

    def list(self, hidden=0):
        cursor, info, found = c_uint32(), Info(), {}
        while self.call("container_next", byref(cursor), c_int(hidden), byref(info)) == "OK":
            found[info.name.decode()] = {
                "dc": info.dc, "owner": info.owner_uid, "phase": PHASES[info.phase], "frozen": info.frozen, "version": info.version, "change": info.change,
                "records": info.n_records, "nodes": {row.node: STATES[row.state] for row in info.nodes[:info.n_nodes]},
                "frozen_on": [row.node for row in info.nodes[:info.n_nodes] if row.frozen],
                "versions": {row.node: row.version for row in info.nodes[:info.n_nodes]}}
        return found

    def set(self, dc, key, value, expected=None):
        text, version = value.encode(), c_uint64()
        expected = (1 << 64) - 1 if expected is None else expected
        return [self.call("record_set", dc.encode(), key.encode(), c_uint64(expected), text, c_size_t(len(text)), byref(version)), version.value]

    def get(self, dc, key):
        value, length, version = ctypes.create_string_buffer(7000), c_size_t(), c_uint64()
        err = self.call("record_get", dc.encode(), key.encode(), value, byref(length), byref(version))
        return [err, value.raw[:length.value].decode(), version.value]

    def records(self, dc):
        key, length, version = ctypes.create_string_buffer(64), c_size_t(), c_uint64()
        value, found = ctypes.create_string_buffer(7000), {}
        while self.call("record_next", dc.encode(), key, value, byref(length), byref(version)) == "OK":
            found[key.value.decode()] = [len(value.raw[:length.value]), version.value]
        return found

    def unset(self, dc, key):
        return self.call("record_remove", dc.encode(), key.encode())

    def agent(self, node, timeout=10000):
        ep = c_uint32()
        return [self.call("agent_start", c_uint32(node), c_uint32(timeout), byref(ep)), ep.value & 0xfffff]


def main():
    asker = Asker()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        name, args = json.loads(line)
        print(json.dumps(getattr(asker, name)(**args)), flush=True)


if __name__ == "__main__":
    main()
