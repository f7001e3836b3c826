/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/negotiate.h"

#include <stdlib.h>
#include <string.h>

#define GREETING_MAGIC UINT64_C(0x4e42444d41474943)
#define OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define REPLY_MAGIC UINT64_C(0x0003e889045565a9)

#define FLAG_FIXED_NEWSTYLE 1u
#define FLAG_NO_ZEROES 2u
#define CLIENT_FLAGS_BYTES 4u
#define EXPORT_ZEROES 124u

enum option {
	OPT_EXPORT_NAME = 1,
	OPT_ABORT = 2,
	OPT_LIST = 3,
	OPT_STARTTLS = 5,
	OPT_INFO = 6,
	OPT_GO = 7,
	OPT_STRUCTURED_REPLY = 8,
	OPT_LIST_META_CONTEXT = 9,
	OPT_SET_META_CONTEXT = 10,
};

#define REP_ACK 1u
#define REP_SERVER 2u
#define REP_INFO 3u
#define REP_META_CONTEXT 4u
#define REP_ERR_UNSUP (UINT32_C(1) << 31 | 1)
#define REP_ERR_POLICY (UINT32_C(1) << 31 | 2)
#define REP_ERR_INVALID (UINT32_C(1) << 31 | 3)
#define REP_ERR_TLS_REQD (UINT32_C(1) << 31 | 5)
#define REP_ERR_UNKNOWN (UINT32_C(1) << 31 | 6)
#define REP_ERR_TOO_BIG (UINT32_C(1) << 31 | 9)

#define INFO_EXPORT 0u
#define INFO_NAME 1u
#define INFO_BLOCK_SIZE 3u
/* Requests for information in one option. */
#define INFOS_MAX 32u
#define QUERIES_MAX 64u
#define PREFERRED_MIN 4096u
#define PREFERRED_MAX (UINT32_C(1) << 20)
/* A list of NBD_EXPORTS_MAX exports fits. */
#define OUT_MAX ((size_t)1 << 20)

/* An option that came as a whole. */
struct unit {
	uint32_t option;
	const uint8_t *data;
	uint32_t bytes;
};

void negotiation_init(struct negotiation *negotiation, const struct negotiation_ops *ops,
		      void *context, enum negotiation_tls tls)
{
	*negotiation = (struct negotiation){ .ops = ops, .context = context, .tls = tls };
}

void negotiation_free(struct negotiation *negotiation)
{
	free(negotiation->out);
	negotiation->out = NULL;
	negotiation->out_bytes = negotiation->out_room = 0;
}

void negotiation_greet(uint8_t out[NBD_GREETING_BYTES])
{
	struct writer writer = writer_over(out, NBD_GREETING_BYTES);

	nbd_put_u64(&writer, GREETING_MAGIC);
	nbd_put_u64(&writer, OPTION_MAGIC);
	nbd_put_u16(&writer, FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
}

/* Room for BYTES more; false: there is none. */
static bool make_room(struct negotiation *negotiation, size_t bytes)
{
	size_t needed = negotiation->out_bytes + bytes;
	size_t room = negotiation->out_room ? negotiation->out_room : 4096;
	uint8_t *grown;

	if (needed <= negotiation->out_room)
		return true;
	while (room < needed)
		room *= 2;
	grown = room <= OUT_MAX ? realloc(negotiation->out, room) : NULL;
	if (!grown) {
		negotiation->failed = true;
		return false;
	}
	negotiation->out = grown;
	negotiation->out_room = room;
	return true;
}

static void put(struct negotiation *negotiation, const void *bytes, size_t len)
{
	if (len == 0 || !make_room(negotiation, len))
		return;
	memcpy(negotiation->out + negotiation->out_bytes, bytes, len);
	negotiation->out_bytes += len;
}

static void reply(struct negotiation *negotiation, const struct unit *unit, uint32_t type,
		  const void *data, size_t len)
{
	uint8_t head[20];
	struct writer writer = writer_over(head, sizeof(head));

	nbd_put_u64(&writer, REPLY_MAGIC);
	nbd_put_u32(&writer, unit->option);
	nbd_put_u32(&writer, type);
	nbd_put_u32(&writer, (uint32_t)len);
	put(negotiation, head, sizeof(head));
	put(negotiation, data, len);
}

static enum negotiation_step refuse(struct negotiation *negotiation, const struct unit *unit,
				    uint32_t type, const char *why)
{
	reply(negotiation, unit, type, why, strlen(why));
	return NEGOTIATION_MORE;
}

static enum negotiation_step acknowledge(struct negotiation *negotiation, const struct unit *unit)
{
	reply(negotiation, unit, REP_ACK, NULL, 0);
	return NEGOTIATION_MORE;
}

/* A name of LEN bytes. False: the option is malformed. One that is too long for any export is given as a name that no export has. */
static bool take_name(struct cursor *in, uint32_t len, char name[NBD_NAME_BYTES])
{
	const uint8_t *bytes = len <= NBD_STRING_MAX ? cursor_borrow(in, len) : NULL;

	if (!bytes || memchr(bytes, '\0', len))
		return false;
	if (len >= NBD_NAME_BYTES) {
		memcpy(name, "@", 2);
		return true;
	}
	memcpy(name, bytes, len);
	name[len] = '\0';
	return true;
}

/* What the client will be told, and what holds for its requests. */
static void agree(struct negotiation *negotiation, const char *asked)
{
	const struct nbd_info *info = &negotiation->info;

	negotiation->rules = (struct nbd_rules){
		.bytes = info->bytes,
		.is_read_only = info->is_read_only,
		.is_structured = negotiation->is_structured,
		.has_status = negotiation->is_structured && negotiation->has_selected &&
			      strcmp(negotiation->selected, asked) == 0,
		.zeroes_quickly = info->zeroes_quickly,
	};
}

/* Whether the client may have the export, which it was told of. */
static dvs_err claim(const struct negotiation *negotiation, char why[NBD_WHY_BYTES])
{
	why[0] = '\0';
	if (negotiation->info.is_read_only || !negotiation->ops->claim)
		return DVS_OK;
	return negotiation->ops->claim(negotiation->context, why);
}

static enum negotiation_step take_export_name(struct negotiation *negotiation,
					      const struct unit *unit)
{
	static const uint8_t zeroes[EXPORT_ZEROES];
	struct cursor in = cursor_over(unit->data, unit->bytes);
	char name[NBD_NAME_BYTES];
	char why[NBD_WHY_BYTES];
	uint8_t head[10];
	struct writer writer = writer_over(head, sizeof(head));

	/* It has no reply that could say why not. */
	if (negotiation->tls == NEGOTIATION_MUST_TLS || !take_name(&in, unit->bytes, name) ||
	    negotiation->ops->look(negotiation->context, name, &negotiation->info) ||
	    claim(negotiation, why))
		return NEGOTIATION_END;
	agree(negotiation, name);
	nbd_put_u64(&writer, negotiation->info.bytes);
	nbd_put_u16(&writer,
		    nbd_export_flags(negotiation->info.is_read_only, negotiation->is_structured));
	put(negotiation, head, sizeof(head));
	if (!negotiation->no_zeroes)
		put(negotiation, zeroes, sizeof(zeroes));
	return NEGOTIATION_TRANSMIT;
}

static void put_server(struct negotiation *negotiation, const struct unit *unit, const char *name)
{
	uint8_t entry[4 + NBD_NAME_BYTES];
	struct writer writer = writer_over(entry, sizeof(entry));

	nbd_put_u32(&writer, (uint32_t)strlen(name));
	writer_bytes(&writer, name, strlen(name));
	reply(negotiation, unit, REP_SERVER, entry, writer_len(&writer));
}

static enum negotiation_step take_list(struct negotiation *negotiation, const struct unit *unit)
{
	struct nbd_names *names;
	dvs_err err = DVS_NOMEM;

	if (unit->bytes)
		return refuse(negotiation, unit, REP_ERR_INVALID, "a list takes no data");
	names = calloc(1, sizeof(*names));
	if (names)
		err = negotiation->ops->list(negotiation->context, names);
	for (uint32_t i = 0; !err && i < names->n; i++)
		put_server(negotiation, unit, names->name[i]);
	free(names);
	if (err)
		return refuse(negotiation, unit, REP_ERR_POLICY, dvs_strerror(err));
	return acknowledge(negotiation, unit);
}

static enum negotiation_step take_starttls(struct negotiation *negotiation, const struct unit *unit)
{
	if (negotiation->tls == NEGOTIATION_NO_TLS)
		return refuse(negotiation, unit, REP_ERR_POLICY, "this server has no TLS");
	if (unit->bytes || negotiation->tls == NEGOTIATION_IN_TLS)
		return refuse(negotiation, unit, REP_ERR_INVALID, "once, and without data");
	acknowledge(negotiation, unit);
	/* Nothing that was said in clear counts. */
	negotiation->tls = NEGOTIATION_IN_TLS;
	negotiation->is_structured = false;
	negotiation->has_selected = false;
	return NEGOTIATION_TLS;
}

static void put_info_export(struct negotiation *negotiation, const struct unit *unit)
{
	uint8_t data[12];
	struct writer writer = writer_over(data, sizeof(data));

	nbd_put_u16(&writer, INFO_EXPORT);
	nbd_put_u64(&writer, negotiation->info.bytes);
	nbd_put_u16(&writer,
		    nbd_export_flags(negotiation->info.is_read_only, negotiation->is_structured));
	reply(negotiation, unit, REP_INFO, data, sizeof(data));
}

static void put_info_name(struct negotiation *negotiation, const struct unit *unit)
{
	uint8_t data[2 + NBD_NAME_BYTES];
	struct writer writer = writer_over(data, sizeof(data));

	nbd_put_u16(&writer, INFO_NAME);
	writer_bytes(&writer, negotiation->info.name, strlen(negotiation->info.name));
	reply(negotiation, unit, REP_INFO, data, writer_len(&writer));
}

static uint32_t preferred_bytes(uint32_t block_bytes)
{
	uint32_t bytes = PREFERRED_MIN;

	while (bytes < block_bytes && bytes < PREFERRED_MAX)
		bytes *= 2;
	return bytes;
}

static void put_info_block_size(struct negotiation *negotiation, const struct unit *unit)
{
	uint8_t data[14];
	struct writer writer = writer_over(data, sizeof(data));

	nbd_put_u16(&writer, INFO_BLOCK_SIZE);
	nbd_put_u32(&writer, NBD_BLOCK_MIN);
	nbd_put_u32(&writer, preferred_bytes(negotiation->info.block_bytes));
	nbd_put_u32(&writer, NBD_PAYLOAD_MAX);
	reply(negotiation, unit, REP_INFO, data, sizeof(data));
}

static enum negotiation_step take_info(struct negotiation *negotiation, const struct unit *unit)
{
	struct cursor in = cursor_over(unit->data, unit->bytes);
	char name[NBD_NAME_BYTES];
	char why[NBD_WHY_BYTES];
	bool wants_name = false;
	bool is_name = take_name(&in, nbd_get_u32(&in), name);
	uint16_t n = nbd_get_u16(&in);
	dvs_err err;

	for (uint16_t i = 0; i < n && i < INFOS_MAX && cursor_left(&in); i++)
		wants_name |= nbd_get_u16(&in) == INFO_NAME;
	if (!is_name || !cursor_done(&in))
		return refuse(negotiation, unit, REP_ERR_INVALID, "malformed");
	err = negotiation->ops->look(negotiation->context, name, &negotiation->info);
	if (err == DVS_NOTFOUND)
		return refuse(negotiation, unit, REP_ERR_UNKNOWN, "there is no such export");
	if (err)
		return refuse(negotiation, unit, REP_ERR_UNKNOWN, dvs_strerror(err));
	if (unit->option == OPT_GO && (err = claim(negotiation, why)) != DVS_OK)
		return refuse(negotiation, unit, REP_ERR_POLICY, why[0] ? why : dvs_strerror(err));
	agree(negotiation, name);
	put_info_export(negotiation, unit);
	/* Also to a client that did not ask: it cannot go below a sector. */
	put_info_block_size(negotiation, unit);
	if (wants_name)
		put_info_name(negotiation, unit);
	acknowledge(negotiation, unit);
	return unit->option == OPT_GO ? NEGOTIATION_TRANSMIT : NEGOTIATION_MORE;
}

static enum negotiation_step take_structured(struct negotiation *negotiation,
					     const struct unit *unit)
{
	if (unit->bytes)
		return refuse(negotiation, unit, REP_ERR_INVALID, "it takes no data");
	negotiation->is_structured = true;
	return acknowledge(negotiation, unit);
}

static bool query_is(const uint8_t *query, uint32_t len, const char *text)
{
	return len == strlen(text) && memcmp(query, text, len) == 0;
}

/* Whether the queries of a metadata option select the context. False: malformed. */
static bool take_queries(struct cursor *in, bool is_list, bool *is_selected)
{
	uint32_t n = nbd_get_u32(in);

	*is_selected = is_list && n == 0;
	if (n > QUERIES_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = nbd_get_u32(in);
		const uint8_t *query = len <= NBD_STRING_MAX ? cursor_borrow(in, len) : NULL;

		if (!query)
			return false;
		*is_selected |= query_is(query, len, NBD_CONTEXT_NAME) ||
				(is_list && query_is(query, len, "base:"));
	}
	return cursor_done(in);
}

static enum negotiation_step take_contexts(struct negotiation *negotiation, const struct unit *unit)
{
	bool is_list = unit->option == OPT_LIST_META_CONTEXT;
	struct cursor in = cursor_over(unit->data, unit->bytes);
	struct nbd_info info;
	char name[NBD_NAME_BYTES];
	uint8_t data[4 + sizeof(NBD_CONTEXT_NAME)];
	struct writer writer = writer_over(data, sizeof(data));
	bool is_selected;

	/* Also when it fails. */
	if (!is_list)
		negotiation->has_selected = false;
	if (!negotiation->is_structured)
		return refuse(negotiation, unit, REP_ERR_INVALID, "it needs structured replies");
	if (!take_name(&in, nbd_get_u32(&in), name) || !take_queries(&in, is_list, &is_selected))
		return refuse(negotiation, unit, REP_ERR_INVALID, "malformed");
	if (negotiation->ops->look(negotiation->context, name, &info))
		return refuse(negotiation, unit, REP_ERR_UNKNOWN, "there is no such export");
	if (is_selected) {
		nbd_put_u32(&writer, is_list ? 0 : NBD_CONTEXT_ID);
		writer_bytes(&writer, NBD_CONTEXT_NAME, strlen(NBD_CONTEXT_NAME));
		reply(negotiation, unit, REP_META_CONTEXT, data, writer_len(&writer));
	}
	if (!is_list) {
		negotiation->has_selected = is_selected;
		memcpy(negotiation->selected, name, sizeof(name));
	}
	return acknowledge(negotiation, unit);
}

static enum negotiation_step take_option(struct negotiation *negotiation, const struct unit *unit)
{
	if (unit->option == OPT_EXPORT_NAME)
		return take_export_name(negotiation, unit);
	if (!negotiation->is_fixed)
		return NEGOTIATION_END;
	if (unit->option == OPT_ABORT) {
		acknowledge(negotiation, unit);
		return NEGOTIATION_END;
	}
	if (unit->option == OPT_STARTTLS)
		return take_starttls(negotiation, unit);
	if (negotiation->tls == NEGOTIATION_MUST_TLS)
		return refuse(negotiation, unit, REP_ERR_TLS_REQD, "this server needs TLS");
	switch (unit->option) {
	case OPT_LIST:
		return take_list(negotiation, unit);
	case OPT_INFO:
	case OPT_GO:
		return take_info(negotiation, unit);
	case OPT_STRUCTURED_REPLY:
		return take_structured(negotiation, unit);
	case OPT_LIST_META_CONTEXT:
	case OPT_SET_META_CONTEXT:
		return take_contexts(negotiation, unit);
	default:
		return refuse(negotiation, unit, REP_ERR_UNSUP, "unknown to this server");
	}
}

static enum negotiation_step take_flags(struct negotiation *negotiation, const uint8_t *bytes)
{
	struct cursor in = cursor_over(bytes, CLIENT_FLAGS_BYTES);
	uint32_t flags = nbd_get_u32(&in);

	negotiation->has_flags = true;
	negotiation->is_fixed = flags & FLAG_FIXED_NEWSTYLE;
	negotiation->no_zeroes = flags & FLAG_NO_ZEROES;
	return flags & ~(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES) ? NEGOTIATION_END : NEGOTIATION_MORE;
}

/* One that is longer than all that have a meaning. */
static enum negotiation_step skip_option(struct negotiation *negotiation, const struct unit *unit)
{
	if (unit->bytes > NBD_SKIP_MAX || unit->option == OPT_EXPORT_NAME || !negotiation->is_fixed)
		return NEGOTIATION_END;
	negotiation->skip_bytes = unit->bytes;
	return refuse(negotiation, unit, REP_ERR_TOO_BIG, "the option is too long");
}

enum negotiation_step negotiation_feed(struct negotiation *negotiation, const uint8_t *bytes,
				       size_t len, size_t *used)
{
	struct cursor in = cursor_over(bytes, len);
	enum negotiation_step step;
	struct unit unit;
	uint64_t magic;

	*used = 0;
	if (negotiation->skip_bytes) {
		*used = len < negotiation->skip_bytes ? len : negotiation->skip_bytes;
		negotiation->skip_bytes -= (uint32_t)*used;
		return NEGOTIATION_MORE;
	}
	if (!negotiation->has_flags) {
		if (len < CLIENT_FLAGS_BYTES)
			return NEGOTIATION_MORE;
		*used = CLIENT_FLAGS_BYTES;
		return take_flags(negotiation, bytes);
	}
	if (len < NBD_OPTION_HEAD_BYTES)
		return NEGOTIATION_MORE;
	magic = nbd_get_u64(&in);
	unit.option = nbd_get_u32(&in);
	unit.bytes = nbd_get_u32(&in);
	unit.data = in.at;
	if (magic != OPTION_MAGIC || negotiation->n_options == NBD_OPTIONS_MAX)
		return NEGOTIATION_END;
	if (unit.bytes <= NBD_OPTION_MAX && cursor_left(&in) < unit.bytes)
		return NEGOTIATION_MORE;
	negotiation->n_options++;
	*used = NBD_OPTION_HEAD_BYTES;
	if (unit.bytes > NBD_OPTION_MAX)
		return skip_option(negotiation, &unit);
	*used += unit.bytes;
	step = take_option(negotiation, &unit);
	return negotiation->failed ? NEGOTIATION_END : step;
}
