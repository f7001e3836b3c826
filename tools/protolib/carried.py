# SPDX-License-Identifier: Apache-2.0
"""The C of a service whose messages are M3-IPC's: a call for each operation for its clients,
and what its server needs around the handlers."""

from .ccode import HEAD, comment


def calls_files(service):
    return {f"{service.name}_calls.h": calls_header(service),
            f"{service.name}_calls.c": calls_source(service)}


def serve_files(service):
    return {f"{service.name}_serve.h": serve_header(service),
            f"{service.name}_serve.c": serve_source(service)}


# ---- the client's side ----

def call_prototype(service, op):
    name = f"{service.name}_{op.name}"
    data = ("const void *out, size_t out_len, void *in,\n\t\tsize_t in_cap, size_t *in_len, "
            if op.carrier == "payload" else "")
    return (f"dvs_err {service.name}_call_{op.name}(struct m3 *self, dvs_ep server,\n"
            f"\t\tconst struct {name}_req *req, struct {name}_rep *rep,\n"
            f"\t\t{data}uint32_t timeout_ms)")


CALLS_COMMENT = """\
/* The calls of a client, from the thread that holds SELF.
 *
 * REQ may be NULL when it has no fields, REP when it has none or they are of no interest. OUT_LEN bytes at OUT go with the
 * request; up to IN_CAP bytes that come with the reply are stored at IN, and *IN_LEN (may be NULL) tells how many.
 *
 * They return the server's error, or what m3_call() returns. BADARG: REQ does not fit the protocol. PROTO: the reply is malformed. */
"""


def calls_header(service):
    upper = service.name.upper()
    out = HEAD.format(source=service.source) + CALLS_COMMENT
    out += f"#ifndef CLIENT_{upper}_CALLS_H\n#define CLIENT_{upper}_CALLS_H\n\n"
    out += "#include <stddef.h>\n#include <stdint.h>\n\n#include <dvs/m3ipc.h>\n\n"
    out += f'#include "proto/{service.name}_proto.h"\n\n'
    for op in service.ops:
        out += comment(f"{op.name}: {op.doc}")
        out += f"DVS_MUST_USE {call_prototype(service, op)};\n\n"
    return out + "#endif\n"


CALLS_HELPERS = """\
/* The error that the server answered; PROTO: there is no such one. */
static dvs_err answered(const struct dvs_msg *msg)
{
	switch (msg->u32[0]) {
#define X(name, number, text, hint, errno_value) \\
	case number:                              \\
		return DVS_##name;
#include <dvs/errors.def>
#undef X
	}
	return DVS_PROTO;
}

"""


def call_body(service, op):
    name = f"{service.name}_{op.name}"
    upper = f"{service.name.upper()}_{op.name.upper()}"
    in_payload = op.carrier == "payload"
    out = f"\tstruct dvs_msg msg = {{ .type = {upper} }};\n"
    if not in_payload:
        # C has no array of no bytes.
        out += f"\tuint8_t body[{upper}_REQ_BYTES_MAX + 1];\n"
        out += f"\tuint8_t reply[{upper}_REP_BYTES_MAX + 1];\n\tsize_t reply_len = 0;\n"
    where = "msg.bytes, sizeof(msg.bytes)" if in_payload else f"body, {upper}_REQ_BYTES_MAX"
    out += f"\tstruct writer writer = writer_over({where});\n"
    if op.reply.fields:
        out += "\tstruct cursor cursor;\n"
    out += "\tdvs_err err;\n\n"
    if op.request.fields:
        out += f"\t{name}_req_encode(&writer, req);\n"
    else:
        out += "\t(void)req;\n"
    out += "\tif (!writer_ok(&writer))\n\t\treturn DVS_BADARG;\n"
    if in_payload:
        out += ("\terr = m3_call(self, server, &msg, out, out_len, in, in_cap, in_len, "
                "timeout_ms);\n")
    else:
        out += ("\terr = m3_call(self, server, &msg, body, writer_len(&writer), reply,\n"
                f"\t\t\t{upper}_REP_BYTES_MAX, &reply_len, timeout_ms);\n")
    out += "\tif (err == DVS_OK)\n\t\terr = answered(&msg);\n"
    if not op.reply.fields:
        out += "\t(void)rep;\n"
        if in_payload:
            return out + "\treturn err;\n"
        return out + "\treturn err == DVS_OK && reply_len ? DVS_PROTO : err;\n"
    out += "\tif (err != DVS_OK || !rep)\n\t\treturn err;\n"
    if in_payload:
        out += ("\tcursor = cursor_over(msg.bytes + 4, sizeof(msg.bytes) - 4);\n"
                f"\treturn {name}_rep_decode_padded(&cursor, rep);\n")
    else:
        out += ("\tcursor = cursor_over(reply, reply_len);\n"
                f"\treturn {name}_rep_decode(&cursor, rep);\n")
    return out


def calls_source(service):
    out = HEAD.format(source=service.source)
    out += f'#include "client/{service.name}_calls.h"\n\n' + CALLS_HELPERS
    for op in service.ops:
        out += f"{call_prototype(service, op)}\n{{\n{call_body(service, op)}}}\n\n"
    return out.rstrip("\n") + "\n"


# ---- the server's side ----

SERVE_COMMENT = """\
/* What a server of this service has around its handlers. A handler answers its request once, now or later, by the function
 * _answer() of its operation: REP may be NULL when it has no fields, or ERR is not OK. Operations whose bodies are in the payload
 * can answer data besides: _answer_data(), as skeleton_answer_data(). */
"""


def answer_prototype(service, op, with_data):
    name = f"{service.name}_{op.name}"
    data = ",\n\t\tconst void *data, size_t bytes" if with_data else ""
    return (f"void {name}_answer{'_data' if with_data else ''}(struct skeleton_request *request, "
            f"dvs_err err,\n\t\tconst struct {name}_rep *rep{data})")


def serve_header(service):
    name, upper = service.name, service.name.upper()
    out = HEAD.format(source=service.source) + SERVE_COMMENT
    out += f"#ifndef SKELETON_{upper}_SERVE_H\n#define SKELETON_{upper}_SERVE_H\n\n"
    out += f'#include "proto/{name}_proto.h"\n#include "skeleton/skeleton.h"\n\n'
    out += (f"#define {upper}_SERVE_FIRST {service.ops[0].number}u\n"
            f"#define {upper}_SERVE_LAST {service.ops[-1].number}u\n\n")
    out += "/* NULL: BADARG is answered. REQ is valid during the call. */\n"
    out += f"struct {name}_handlers {{\n"
    for op in service.ops:
        out += (f"\tvoid (*{op.name})(void *state, struct skeleton_request *request,\n"
                f"\t\t\tconst struct {name}_{op.name}_req *req);\n")
    out += "};\n\n"
    out += f"enum skeleton_allow {name}_serve_allow(uint32_t op);\n\n"
    out += ("/* Decode REQUEST and call its handler, with STATE. PROTO: it is malformed; BADARG: there is no handler. Then it is not\n"
            " * answered. */\n"
            f"DVS_MUST_USE dvs_err {name}_serve(const void *handlers, void *state,\n"
            "\t\tstruct skeleton_request *request);\n\n")
    out += "/* The service for a skeleton's table. */\n"
    out += (f"struct skeleton_service {name}_service(const struct {name}_handlers *handlers, "
            "void *state);\n\n")
    for op in service.ops:
        out += answer_prototype(service, op, False) + ";\n"
        if op.carrier == "payload":
            out += answer_prototype(service, op, True) + ";\n"
    return out + "\n#endif\n"


def serve_one(service, op):
    name = f"{service.name}_{op.name}"
    most = f"{service.name.upper()}_{op.name.upper()}_REQ_BYTES_MAX"
    in_payload = op.carrier == "payload"
    out = (f"static dvs_err serve_{op.name}(const struct {service.name}_handlers *handlers, "
           "void *state,\n\t\tstruct skeleton_request *request)\n{\n")
    if not in_payload:
        out += f"\tuint8_t body[{most} + 1];\n"
    out += f"\tstruct {name}_req req;\n\tstruct cursor in;\n\tdvs_err err;\n\n"
    if in_payload:
        out += ("\tin = cursor_over(request->payload, sizeof(request->payload));\n"
                f"\terr = {name}_req_decode_padded(&in, &req);\n")
    else:
        out += (f"\tif (request->data_bytes > {most})\n\t\treturn DVS_PROTO;\n"
                "\tbody[0] = 0;\n\t/* The client can change it at any time: what is looked at is the copy. */\n"
                "\tif (request->data_bytes)\n"
                "\t\tmemcpy(body, request->data, request->data_bytes);\n"
                "\tin = cursor_over(body, request->data_bytes);\n"
                f"\terr = {name}_req_decode(&in, &req);\n")
    return out + ("\tif (err == DVS_OK && !handlers->" + op.name + ")\n\t\terr = DVS_BADARG;\n"
                  "\tif (err == DVS_OK)\n"
                  f"\t\thandlers->{op.name}(state, request, &req);\n\treturn err;\n}}\n\n")


def answer_one(service, op, with_data):
    name = f"{service.name}_{op.name}"
    most = f"{service.name.upper()}_{op.name.upper()}_REP_BYTES_MAX"
    out = answer_prototype(service, op, with_data) + "\n{\n"
    if not op.reply.fields:
        if with_data:
            call = "skeleton_answer_data(request, err, NULL, 0, data, bytes)"
        else:
            call = "skeleton_answer(request, err, NULL, 0)"
        return out + f"\t(void)rep;\n\t{call};\n}}\n\n"
    out += f"\tuint8_t body[{most}];\n\tstruct writer out = writer_over(body, sizeof(body));\n\n"
    out += (f"\tif (err == DVS_OK)\n\t\t{name}_rep_encode(&out, rep);\n"
            "\tassert(writer_ok(&out));\n")
    if with_data:
        call = "skeleton_answer_data(request, err, body, writer_len(&out), data, bytes)"
    elif op.carrier == "payload":
        call = "skeleton_answer(request, err, body, writer_len(&out))"
    else:
        call = "skeleton_answer_data(request, err, NULL, 0, body, writer_len(&out))"
    return out + f"\t{call};\n}}\n\n"


def serve_table(service):
    name, upper = service.name, service.name.upper()
    out = (f"static const struct {{\n\tdvs_err (*serve)(const struct {name}_handlers *handlers, "
           "void *state,\n\t\t\tstruct skeleton_request *request);\n"
           "\tenum skeleton_allow allow;\n} rows[] = {\n")
    for op in service.ops:
        out += (f"\t[{upper}_{op.name.upper()} - {upper}_SERVE_FIRST] = {{ serve_{op.name}, "
                f"SKELETON_{op.allow.upper()} }},\n")
    return out + f"""}};

enum skeleton_allow {name}_serve_allow(uint32_t op)
{{
	if (op < {upper}_SERVE_FIRST || op > {upper}_SERVE_LAST)
		return SKELETON_NOBODY;
	return rows[op - {upper}_SERVE_FIRST].allow;
}}

dvs_err {name}_serve(const void *handlers, void *state, struct skeleton_request *request)
{{
	if ({name}_serve_allow(request->op) == SKELETON_NOBODY)
		return DVS_BADARG;
	return rows[request->op - {upper}_SERVE_FIRST].serve(handlers, state, request);
}}

struct skeleton_service {name}_service(const struct {name}_handlers *handlers, void *state)
{{
	return (struct skeleton_service){{
		.name = "{name}",
		.first = {upper}_SERVE_FIRST,
		.last = {upper}_SERVE_LAST,
		.allow = {name}_serve_allow,
		.serve = {name}_serve,
		.handlers = handlers,
		.state = state,
	}};
}}

"""


def serve_source(service):
    out = HEAD.format(source=service.source)
    out += f'#include "skeleton/{service.name}_serve.h"\n\n'
    out += "#include <assert.h>\n#include <string.h>\n\n"
    for op in service.ops:
        out += serve_one(service, op)
    out += serve_table(service)
    for op in service.ops:
        out += answer_one(service, op, False)
        if op.carrier == "payload":
            out += answer_one(service, op, True)
    return out.rstrip("\n") + "\n"
