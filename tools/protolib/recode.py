# SPDX-License-Identifier: Apache-2.0
"""For tests and fuzzers: decode any body by its operation and encode it again. What a
decoder accepts must come back as the very same bytes."""

from .ccode import HEAD


def files(service):
    return {f"{service.name}_recode.h": header(service),
            f"{service.name}_recode.c": source(service)}


def header(service):
    name, upper = service.name, service.name.upper()
    return HEAD.format(source=service.source) + f"""\
/* Only for tests and fuzzers. */
#ifndef PROTO_{upper}_RECODE_H
#define PROTO_{upper}_RECODE_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/cursor.h"

/* Decode the body of a request, event or reply and encode it again to OUT. DVS_PROTO: there
 * is no such operation or reply, or the body is malformed. */
DVS_MUST_USE dvs_err {name}_recode(uint32_t op, bool is_reply, struct cursor *in,
				   struct writer *out);

/* The numbers of the operations; 0 behind the last. */
uint32_t {name}_recode_op_at(uint32_t index);

#endif
"""


def recode_one(service, body):
    name = f"{service.name}_{body.name}"
    return f"""\
static dvs_err recode_{body.name}(struct cursor *in, struct writer *out)
{{
	struct {name} body;
	dvs_err err = {name}_decode(in, &body);

	if (err == DVS_OK)
		{name}_encode(out, &body);
	return err;
}}

"""


def source(service):
    name = service.name
    out = HEAD.format(source=service.source)
    out += f'#include "proto/{name}_recode.h"\n\n#include <stddef.h>\n\n'
    out += f'#include "base/compiler.h"\n#include "proto/{name}_proto.h"\n\n'
    rows = ""
    for op in service.ops:
        calls = []
        for _, body in op.bodies:
            out += recode_one(service, body)
            calls.append(f"recode_{body.name}")
        calls += ["NULL"] * (2 - len(calls))
        rows += f"\t{{ {name.upper()}_{op.name.upper()}, {{ {', '.join(calls)} }} }},\n"
    return out + f"""\
static const struct {{
	uint32_t op;
	dvs_err (*recode[2])(struct cursor *in, struct writer *out);
}} recoders[] = {{
{rows}}};

dvs_err {name}_recode(uint32_t op, bool is_reply, struct cursor *in, struct writer *out)
{{
	for (size_t i = 0; i < ARRAY_LEN(recoders); i++) {{
		if (recoders[i].op == op && recoders[i].recode[is_reply])
			return recoders[i].recode[is_reply](in, out);
	}}
	return DVS_PROTO;
}}

uint32_t {name}_recode_op_at(uint32_t index)
{{
	return index < ARRAY_LEN(recoders) ? recoders[index].op : 0;
}}
"""
