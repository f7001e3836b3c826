#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random operations on the contents of two files, each compared with a model in memory: reading, writing, appending, cutting, maps, giving and taking space, copying, looking for holes. Of several directories
that show the same files (mounts of one file system on several nodes) each operation takes one at random. By hand: posix_random.py DIR... [seed=N] [steps=N] [rounds=N]"""

import mmap
import os
import random
import sys
import time
from pathlib import Path

from posix_help import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, equal, fallocate, said

PAGE = 4096
LARGEST = 400_000


class Run:
    def __init__(self, where, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.where = where
        self.model = [bytearray(), bytearray()]
        self.open = {}
        self.last = []
        self.has_zeroing = True
        for i in range(2):
            os.close(os.open(where[0] / f"random{i}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))

    def end(self):
        for fd in self.open.values():
            os.close(fd)
        for i in range(2):
            os.unlink(self.where[0] / f"random{i}")

    def fd(self, i, flags=os.O_RDWR):
        """One of the file's open descriptors, which may be new and may be closed at once after others have used it."""
        key = (self.random.randrange(len(self.where)), i, flags)
        if key in self.open and self.random.random() < 0.1:
            os.close(self.open.pop(key))
        if key not in self.open:
            self.open[key] = os.open(self.where[key[0]] / f"random{i}", flags)
        self.last.append(f"at {key[0]}, file {i}")
        return self.open[key]

    def range(self, model, beyond=True):
        """Offset and length; more often than not at the limits of pages or of the file."""
        top = LARGEST if beyond else max(len(model), 1)
        offset = self.random.choice((self.random.randrange(top), self.random.randrange(min(top, 20000)), len(model) // 2,
                                     len(model), self.random.randrange(top) // PAGE * PAGE))
        count = self.random.choice((self.random.randrange(1, 200), self.random.randrange(1, 70000), PAGE,
                                    self.random.randrange(1, 9) * PAGE - offset % PAGE))
        offset = min(offset, top - 1)
        return offset, max(1, min(count, LARGEST - offset))

    def data(self, count):
        return self.random.randbytes(1) * count if self.random.random() < 0.3 else self.random.randbytes(count)

    def put(self, i, offset, data):
        model = self.model[i]
        if len(model) < offset:
            model.extend(bytes(offset - len(model)))
        model[offset:offset + len(data)] = data

    # ---- operations ----

    def read(self, i):
        offset, count = self.range(self.model[i])
        flags = self.random.choice((os.O_RDWR, os.O_RDONLY))
        got = os.pread(self.fd(i, flags), count, offset)
        self.compare(i, offset, count, got)

    def compare(self, i, offset, count, got):
        wanted = bytes(self.model[i][offset:offset + count])
        if got == wanted:
            return
        first = next((k for k, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        raise AssertionError(f"{count} bytes at {offset} of file {i}: {len(got)} came of {len(wanted)}, byte {offset + first} is wrong:"
                             f" {got[first:first + 8]!r} for {wanted[first:first + 8]!r}")

    def write(self, i):
        offset, count = self.range(self.model[i])
        data = self.data(count)
        equal(os.pwrite(self.fd(i, self.random.choice((os.O_RDWR, os.O_WRONLY))), data, offset), count)
        self.put(i, offset, data)

    def append(self, i):
        data = self.data(self.random.randrange(1, 5000))
        if len(self.model[i]) + len(data) <= LARGEST:
            equal(os.write(self.fd(i, os.O_WRONLY | os.O_APPEND), data), len(data))
            self.put(i, len(self.model[i]), data)

    def cut(self, i):
        size = self.range(self.model[i], self.random.random() < 0.5)[0]
        os.ftruncate(self.fd(i), size)
        model = self.model[i]
        if size < len(model):
            del model[size:]
        else:
            model.extend(bytes(size - len(model)))

    def cut_by_opening(self, i):
        path = self.random.choice(self.where) / f"random{i}"
        if self.random.random() < 0.2:
            os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
            self.model[i].clear()

    def map(self, i, writes):
        if not self.model[i]:
            return
        offset, count = self.range(self.model[i], False)
        count = min(count, len(self.model[i]) - offset)
        begin = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        fd = self.fd(i)
        with mmap.mmap(fd, offset + count - begin, offset=begin) as area:
            self.compare(i, offset, count, area[offset - begin:])
            if writes:
                data = self.data(count)
                area[offset - begin:] = data
                area.flush()
                self.put(i, offset, data)

    def map_read(self, i):
        self.map(i, False)

    def map_write(self, i):
        self.map(i, True)

    def give(self, i):
        offset, count = self.range(self.model[i])
        keeps = self.random.choice((0, KEEP_SIZE))
        fallocate(self.fd(i), keeps, offset, count)
        if not keeps and offset + count > len(self.model[i]):
            self.model[i].extend(bytes(offset + count - len(self.model[i])))

    def blank(self, i, mode):
        offset, count = self.range(self.model[i])
        fd = self.fd(i)
        if mode == ZERO_RANGE and said(fallocate, fd, ZERO_RANGE | KEEP_SIZE, 0, 1) == "EOPNOTSUPP":
            return
        if mode == ZERO_RANGE and self.model[i]:
            self.model[i][0] = 0
        fallocate(fd, mode | KEEP_SIZE, offset, count)
        count = min(count, len(self.model[i]) - offset)
        if count > 0:
            self.put(i, offset, bytes(count))

    def punch(self, i):
        self.blank(i, PUNCH_HOLE)

    def zero(self, i):
        self.blank(i, ZERO_RANGE)

    def copy(self, i):
        source = self.random.randrange(2)
        offset, count = self.range(self.model[source], False)
        to = self.range(self.model[i])[0]
        count = min(count, LARGEST - to)
        if source == i and abs(offset - to) < count:
            return
        which = self.random.randrange(len(self.where))
        fds = [os.open(self.where[which] / f"random{k}", os.O_RDWR) for k in (source, i)]
        done = os.copy_file_range(*fds, count, offset, to)
        for fd in fds:
            os.close(fd)
        assert done <= count and (done > 0 or offset >= len(self.model[source])), (done, count)
        if done:
            self.put(i, to, bytes(self.model[source][offset:offset + done]))

    def look(self, i):
        """The size, and that all that is not zero is where there are data."""
        fd, model = self.fd(i), self.model[i]
        equal(os.fstat(fd).st_size, len(model))
        at = 0
        while at < len(model):
            data = os.lseek(fd, at, os.SEEK_DATA) if said(os.lseek, fd, at, os.SEEK_DATA) == "OK" else len(model)
            assert not any(model[at:data]), f"a hole of file {i} from {at} to {data} has data"
            at = os.lseek(fd, data, os.SEEK_HOLE) if data < len(model) else data
            assert at > data or data >= len(model), (at, data)

    def sync(self, i):
        os.fsync(self.fd(i))

    def step(self):
        step = self.random.choice((self.read, self.read, self.read, self.write, self.write, self.write, self.append,
                                   self.cut, self.cut_by_opening, self.map_read, self.map_write, self.give, self.punch,
                                   self.zero, self.copy, self.look, self.sync))
        self.last.append(step.__name__)
        del self.last[:-40]
        step(self.random.randrange(2))

    def all_is_right(self):
        for path in self.where:
            for i in range(2):
                self.compare(i, 0, LARGEST, (path / f"random{i}").read_bytes())


def run(where, seed, steps):
    one = Run(where, seed)
    for step in range(steps):
        try:
            one.step()
            if step % 100 == 99:
                one.all_is_right()
        except Exception as mistake:
            raise AssertionError(f"seed {seed}, step {step}: {mistake}\nbefore: {'; '.join(one.last)}") from mistake
    one.all_is_right()
    one.end()


def main():
    named = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
    where = [Path(word) for word in sys.argv[1:] if "=" not in word]
    seed = int(named.get("seed", time.time()))
    for i in range(int(named.get("rounds", 1))):
        print(f"seed {seed + i}", flush=True)
        run(where, seed + i, int(named.get("steps", 2000)))


if __name__ == "__main__":
    main()
