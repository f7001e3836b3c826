# SPDX-License-Identifier: Apache-2.0
"""Reads and checks a service's TOML file. Everything generated starts from this model."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

INTEGERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i32": 4, "i64": 8}
COUNT_MAX = 65535
# How a service's bodies travel in M3-IPC; a service without a carrier has its own way.
CARRIERS = ("payload", "data")
# Who may ask a service that has a carrier: enum skeleton_allow.
CARRIED_ALLOWS = ("user", "manager")
PAYLOAD_BYTES = {"request": 56, "reply": 52}   # a reply's first four are the error's number
CARRIED_DATA_BYTES = 65536   # they are on the stack of whoever encodes or decodes them
CARRIED_NUMBERS = 1024       # from the first operation to the last: they index a table
NAME = re.compile(r"[a-z][a-z0-9_]*")
C_WORDS = set("""auto break case char const continue default do double else enum extern float
    for goto if inline int long register restrict return short signed sizeof static struct
    switch typedef union unsigned void volatile while""".split())


class Mistake(Exception):
    """Something the author of the TOML file must mend; the text says where and what."""


@dataclass
class Field:
    """One field. KIND is "int", "str", "bytes" or "struct"."""
    name: str
    kind: str
    type: str            # "u32", "str63", "bytes16" or the struct's name
    count_max: int = 0   # > 0: a counted array of up to so many
    room: int = 0        # str, bytes: most bytes
    low: int | None = None   # int: allowed range, when narrower than the type
    high: int | None = None
    struct: "Struct | None" = None

    @property
    def size_bytes(self):
        """What one integer takes on the wire."""
        return INTEGERS[self.type]

    @property
    def type_range(self):
        """The least and the largest value that an integer's type holds."""
        bits = 8 * self.size_bytes
        if self.type.startswith("i"):
            return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        return 0, (1 << bits) - 1

    @property
    def prefix_bytes(self):
        """What the length of a string or the count of an array takes on the wire."""
        return 1 if (self.count_max or self.room) <= 255 else 2

    def element_bytes(self, largest):
        if self.kind == "int":
            return self.size_bytes
        if self.kind == "struct":
            return self.struct.bytes(largest)
        prefix = 1 if self.room <= 255 else 2
        return prefix + (self.room if largest else 0)

    def bytes(self, largest):
        """The largest or smallest size on the wire."""
        if not self.count_max:
            return self.element_bytes(largest)
        count = self.count_max if largest else 0
        return self.prefix_bytes + count * self.element_bytes(largest)


@dataclass
class Struct:
    name: str
    fields: list
    doc: str = ""
    used: bool = False   # by a field
    in_data: bool = False   # stands in attached data, by itself

    def bytes(self, largest=True):
        return sum(one.bytes(largest) for one in self.fields)


@dataclass
class Op:
    name: str
    number: int
    kind: str            # "request" or "event"
    doc: str
    allow: str           # "" for an event
    request: Struct
    reply: Struct | None
    errors: list
    carrier: str = ""    # "payload", "data" or none

    @property
    def bodies(self):
        """(suffix, struct) of each body: "req" and, for a request, "rep"."""
        found = [("req", self.request)]
        if self.reply is not None:
            found.append(("rep", self.reply))
        return found


@dataclass
class Service:
    name: str
    version: int
    doc: str
    source: str
    header: Struct | None = None
    structs: list = field(default_factory=list)
    ops: list = field(default_factory=list)
    error_texts: dict = field(default_factory=dict)
    carrier: str = ""

    @property
    def allows(self):
        """The permissions in the order in which they first appear."""
        return list(dict.fromkeys(op.allow for op in self.ops if op.allow))


def read_errors(path):
    """{name: text} from errors.def."""
    row = re.compile(r'^\s*X\(\s*(\w+)\s*,\s*\d+\s*,\s*"([^"]*)"', re.MULTILINE)
    errors = dict(row.findall(Path(path).read_text()))
    if not errors:
        raise Mistake(f"{path}: no errors found in it")
    return errors


def check_name(where, name):
    if not NAME.fullmatch(name):
        raise Mistake(f"{where}: '{name}' is not a name of the form a_b_c")
    if name in C_WORDS:
        raise Mistake(f"{where}: '{name}' is a word of C")


def check_keys(where, table, required, optional=()):
    for key in required:
        if key not in table:
            raise Mistake(f"{where}: '{key}' is missing")
    for key in table:
        if key not in required and key not in optional:
            raise Mistake(f"{where}: unknown key '{key}'")


def parse_bound(where, text, least=1):
    bound = int(text)
    if not least <= bound <= COUNT_MAX:
        raise Mistake(f"{where}: the bound {bound} is not in {least}..{COUNT_MAX}")
    return bound


def parse_range(where, parsed, text):
    """ "1..3" behind an integer's type."""
    match = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text)
    if not match or parsed.kind != "int":
        raise Mistake(f"{where}: '{text}' is not a range MIN..MAX of an integer")
    parsed.low, parsed.high = int(match[1]), int(match[2])
    least, most = parsed.type_range
    if not least <= parsed.low <= parsed.high <= most:
        raise Mistake(f"{where}: the range {text} does not fit {parsed.type}")
    if (parsed.low, parsed.high) == (least, most):
        raise Mistake(f"{where}: the range {text} is all of {parsed.type}")


def parse_field(where, text, structs):
    """ "name type", "name type[N]" or "name type MIN..MAX"."""
    words = text.split()
    if len(words) not in (2, 3):
        raise Mistake(f"{where}: '{text}' is not 'name type'")
    name, full_type = words[0], words[1]
    where = f"{where}, field {name}"
    check_name(where, name)
    match = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", full_type)
    if not match:
        raise Mistake(f"{where}: '{full_type}' is not a type")
    base, count = match[1], match[2]
    count_max = parse_bound(where, count) if count else 0
    sized = re.fullmatch(r"(str|bytes)(\d+)", base)
    if base in INTEGERS:
        parsed = Field(name, "int", base, count_max)
    elif sized:
        parsed = Field(name, sized[1], base, count_max, room=parse_bound(where, sized[2]))
        if sized[1] == "bytes" and count_max:
            raise Mistake(f"{where}: an array of bytes{sized[2]} needs a struct around them")
    elif base in structs:
        parsed = Field(name, "struct", base, count_max, struct=structs[base])
    else:
        raise Mistake(f"{where}: '{base}' is no type; a struct must stand before its use")
    if len(words) == 3:
        parse_range(where, parsed, words[2])
    if parsed.struct:
        parsed.struct.used = True
    return parsed


def parse_struct(where, name, texts, structs, doc=""):
    if not isinstance(texts, list):
        raise Mistake(f"{where}: the fields must be a list of 'name type'")
    fields = [parse_field(where, text, structs) for text in texts]
    names = [one.name for one in fields]
    names += ["n_" + one.name for one in fields if one.count_max or one.kind == "bytes"]
    for one in names:
        if names.count(one) > 1:
            raise Mistake(f"{where}: the field {one} stands twice")
    return Struct(name, fields, " ".join(doc.split()))


def parse_op(where, name, table, structs, errors):
    check_name(where, name)
    kind = table.get("kind", "request")
    if kind == "request":
        check_keys(where, table, ["number", "allow", "doc", "request", "reply", "errors"],
                   ["kind", "carrier"])
    elif kind == "event":
        check_keys(where, table, ["number", "doc", "request", "kind"])
    else:
        raise Mistake(f"{where}: kind is 'request' or 'event', not '{kind}'")
    number = table["number"]
    if not isinstance(number, int) or not 0 < number < 1 << 31:
        raise Mistake(f"{where}: the number must be an integer above 0")
    for error in table.get("errors", []):
        if error not in errors:
            raise Mistake(f"{where}: errors.def has no error {error}")
    if "allow" in table:
        check_name(where, table["allow"])
    reply = None
    if kind == "request":
        reply = parse_struct(f"{where}, reply", f"{name}_rep", table["reply"], structs)
    return Op(name=name, number=number, kind=kind, doc=" ".join(table["doc"].split()),
              allow=table.get("allow", ""), reply=reply, errors=table.get("errors", []),
              request=parse_struct(f"{where}, request", f"{name}_req", table["request"],
                                   structs))


def check_carrier(where, carrier):
    if carrier not in CARRIERS:
        raise Mistake(f"{where}: carrier is 'payload' or 'data', not '{carrier}'")


def check_carried(where, op):
    """OP of a service that has a carrier."""
    if op.kind != "request":
        raise Mistake(f"{where}: a service with a carrier has no events")
    if op.allow not in CARRIED_ALLOWS:
        raise Mistake(f"{where}: allow is 'user' or 'manager', not '{op.allow}'")
    for what, body in (("request", op.request), ("reply", op.reply)):
        most = PAYLOAD_BYTES[what] if op.carrier == "payload" else CARRIED_DATA_BYTES
        if body.bytes() > most:
            raise Mistake(f"{where}: the {what} can take {body.bytes()} bytes, "
                          f"and carrier {op.carrier} has {most}")


def set_carriers(where, service, tables):
    """The service's own carrier, unless an operation has another one."""
    if not service.carrier:
        for op in service.ops:
            if "carrier" in tables[op.name]:
                raise Mistake(f"{where}: op {op.name}: the service has no carrier")
        return
    check_carrier(where, service.carrier)
    if service.header:
        raise Mistake(f"{where}: a service with a carrier has no header")
    for op in service.ops:
        op.carrier = tables[op.name].get("carrier", service.carrier)
        check_carrier(f"{where}: op {op.name}", op.carrier)
        check_carried(f"{where}: op {op.name}", op)
    numbers = [op.number for op in service.ops]
    if max(numbers) - min(numbers) >= CARRIED_NUMBERS:
        raise Mistake(f"{where}: the numbers of a service with a carrier lie within "
                      f"{CARRIED_NUMBERS}")


def check_unique(where, values, what):
    for value in values:
        if values.count(value) > 1:
            raise Mistake(f"{where}: {what} {value} stands twice")


def read_service(path, errors):
    where = Path(path).name
    try:
        table = tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Mistake(f"{where}: {error}") from error
    check_keys(where, table, ["service", "version", "doc", "op"],
               ["struct", "header", "carrier"])
    check_name(where, table["service"])
    service = Service(table["service"], table["version"], " ".join(table["doc"].split()),
                      source=f"src/proto/{where}", error_texts=errors,
                      carrier=table.get("carrier", ""))
    structs = {}  # in the order of the file
    for name, entry in table.get("struct", {}).items():
        inside = f"{where}: struct {name}"
        check_name(inside, name)
        check_keys(inside, entry, ["fields"], ["doc", "in_data"])
        structs[name] = parse_struct(inside, name, entry["fields"], structs,
                                     entry.get("doc", ""))
        structs[name].in_data = entry.get("in_data", False)
    service.structs = list(structs.values())
    if "header" in table:
        service.header = parse_struct(f"{where}: header", "header", table["header"], structs)
    for name, entry in table["op"].items():
        service.ops.append(parse_op(f"{where}: op {name}", name, entry, structs, errors))
    check_unique(where, [op.number for op in service.ops], "the number")
    taken = [one.name for one in service.structs] + (["header"] if service.header else [])
    taken += [body.name for op in service.ops for _, body in op.bodies]
    check_unique(where, taken, "the struct")
    for struct in service.structs:
        if not struct.fields or not (struct.used or struct.in_data):
            raise Mistake(f"{where}: struct {struct.name} has no fields or no use")
    set_carriers(where, service, table["op"])
    service.ops.sort(key=lambda op: op.number)
    return service
