# SPDX-License-Identifier: Apache-2.0
"""One valid frame per body, for a fuzzer to start from.

A frame is the service's header when the TOML file has one (its field "op" filled in), else
the operation's number as a u32; then the body. Of a service with a carrier the seeds are the same: its frames are op and body."""

import struct as packing

FORMATS = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "i32": "<i", "i64": "<q"}


def encode_int(one, value):
    if one.low is not None:
        value = min(max(value, one.low), one.high)
    return packing.pack(FORMATS[one.type], value)


def encode_prefix(one, count):
    return packing.pack("<B" if one.prefix_bytes == 1 else "<H", count)


def encode_element(one):
    if one.kind == "int":
        return encode_int(one, 1)
    if one.kind == "struct":
        return encode_struct(one.struct, {})
    text = b"seed"[:one.room]
    return packing.pack("<B" if one.room <= 255 else "<H", len(text)) + text


def encode_struct(struct, values):
    data = b""
    for one in struct.fields:
        if one.count_max:
            data += encode_prefix(one, 1) + encode_element(one)
        elif one.name in values:
            data += encode_int(one, values[one.name])
        else:
            data += encode_element(one)
    return data


def frames(service):
    found = {}
    for op in service.ops:
        for suffix, body in op.bodies:
            if service.header:
                head = encode_struct(service.header, {"op": op.number})
            else:
                head = packing.pack("<I", op.number)
            found[f"{service.name}-{op.name}-{suffix}"] = head + encode_struct(body, {})
    return found
