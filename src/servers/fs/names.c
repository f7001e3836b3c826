/* SPDX-License-Identifier: Apache-2.0 */
/* The table of names: a directory is a range of rows (parent, cookie). A cookie is 55 bits of a keyed hash of the name and 8 bits that tell names of the same hash apart. Nobody who does not know the key can make names of the same hash (SipHash-2-4,
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF"). Cookies below 256 are of none: 1 is ".", 2 is "..". */
#include <string.h>

#include "base/compiler.h"
#include "servers/fs/tree_internal.h"

#define SAME_MAX 255u

static uint64_t rotate(uint64_t value, unsigned int bits)
{
	return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static uint64_t sip_hash(const uint64_t key[2], const char *text, size_t len)
{
	uint64_t v[4] = { key[0] ^ UINT64_C(0x736f6d6570736575),
			  key[1] ^ UINT64_C(0x646f72616e646f6d),
			  key[0] ^ UINT64_C(0x6c7967656e657261),
			  key[1] ^ UINT64_C(0x7465646279746573) };
	uint64_t last = (uint64_t)len << 56, word;

	for (; len >= 8; text += 8, len -= 8) {
		memcpy(&word, text, 8);
		sip_word(v, word);
	}
	for (size_t i = 0; i < len; i++)
		last |= (uint64_t)(unsigned char)text[i] << (8 * i);
	sip_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t fs_name_cookie(const struct fs *fs, struct fs_name name)
{
	uint64_t hash = sip_hash(fs->key, name.text, name.len) >> 9;

	return (hash == 0 ? 1 : hash) << 8;
}

bool fs_name_is(struct fs_name name, const char *text)
{
	return name.len == strlen(text) && memcmp(name.text, text, name.len) == 0;
}

dvs_err fs_name_check(struct fs_name name)
{
	if (name.len == 0 || memchr(name.text, 0, name.len) || memchr(name.text, '/', name.len))
		return DVS_BADARG;
	return name.len > FS_NAME_MAX ? DVS_NAMELONG : DVS_OK;
}

/* ---- what was found last ----
 * Whoever makes, removes or renames something has looked for the name before, and the operation itself looks twice: for leases that it concerns, and then for itself. */

static bool is_same(const struct fs_memo *memo, uint64_t parent, struct fs_name name)
{
	return memo->len == name.len && memo->parent == parent && memo->len > 0 &&
	       memcmp(memo->text, name.text, name.len) == 0;
}

static const struct fs_memo *recall_memo(const struct fs *fs, uint64_t parent, struct fs_name name)
{
	for (size_t i = 0; i < ARRAY_LEN(fs->memos); i++) {
		if (is_same(&fs->memos[i], parent, name))
			return &fs->memos[i];
	}
	return NULL;
}

static void keep_memo(struct fs *fs, uint64_t parent, struct fs_name name,
		      const struct fs_found *found)
{
	struct fs_memo *memo = &fs->memos[fs->next_memo++ % ARRAY_LEN(fs->memos)];

	memo->parent = parent;
	memo->cookie = found->cookie;
	memo->ino = found->ino;
	memo->kind = found->kind;
	memo->len = (uint8_t)name.len;
	memcpy(memo->text, name.text, name.len);
}

/* A name of that hash comes, goes or changes. */
static void drop_memos(struct fs *fs, uint64_t parent, uint64_t cookie)
{
	for (size_t i = 0; i < ARRAY_LEN(fs->memos); i++) {
		struct fs_memo *memo = &fs->memos[i];

		if (memo->parent == parent && (memo->cookie | SAME_MAX) == (cookie | SAME_MAX))
			memo->len = 0;
	}
}

void fs_names_forget(struct fs *fs)
{
	for (size_t i = 0; i < ARRAY_LEN(fs->memos); i++)
		fs->memos[i].len = 0;
}

/* ---- rows ---- */

static dvs_err find_row(struct fs *fs, uint64_t parent, uint64_t cookie, struct fs_name name,
			struct fs_found *found)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_NAME_FIND);
	dvs_err err;

	found->ino = 0;
	found->kind = 0;
	found->cookie = cookie;
	if (stmt) {
		fs_bind(stmt, 1, parent);
		fs_bind(stmt, 2, cookie);
		fs_bind(stmt, 3, cookie | SAME_MAX);
	}
	while ((err = fs_sql_row(fs, stmt)) == DVS_OK) {
		const void *text = sqlite3_column_blob(stmt, 3);

		if (text && (size_t)sqlite3_column_bytes(stmt, 3) == name.len &&
		    memcmp(text, name.text, name.len) == 0) {
			found->cookie = fs_column(stmt, 0);
			found->ino = fs_column(stmt, 1);
			found->kind = (uint8_t)fs_column(stmt, 2);
			(void)sqlite3_reset(stmt);
			return DVS_OK;
		}
		if (fs_column(stmt, 0) == found->cookie)
			found->cookie++; /* the first number that is free */
	}
	return err;
}

dvs_err fs_name_find(struct fs *fs, uint64_t parent, struct fs_name name, struct fs_found *found)
{
	const struct fs_memo *memo = recall_memo(fs, parent, name);
	uint64_t cookie;
	dvs_err err;

	if (memo) {
		*found = (struct fs_found){ memo->cookie, memo->ino, memo->kind };
		return memo->ino ? DVS_OK : DVS_NOTFOUND;
	}
	cookie = fs_name_cookie(fs, name);
	err = find_row(fs, parent, cookie, name, found);
	/* Not a row that leads to file 0, which nobody has written here, nor that there is no room for another name of the same hash. */
	if (name.len <= FS_NAME_MAX &&
	    ((err == DVS_OK && found->ino) ||
	     (err == DVS_NOTFOUND && found->cookie <= (cookie | SAME_MAX))))
		keep_memo(fs, parent, name, found);
	return err;
}

dvs_err fs_name_add(struct fs *fs, uint64_t parent, struct fs_name name,
		    const struct fs_found *found)
{
	sqlite3_stmt *stmt;

	drop_memos(fs, parent, found->cookie);
	if (found->cookie > (fs_name_cookie(fs, name) | SAME_MAX))
		return DVS_NOSPACE;
	stmt = fs_sql(fs, FS_SQL_NAME_ADD);
	if (stmt) {
		fs_bind(stmt, 1, parent);
		fs_bind(stmt, 2, found->cookie);
		fs_bind(stmt, 3, found->ino);
		fs_bind(stmt, 4, found->kind);
		fs_bind_blob(stmt, 5, name.text, name.len);
	}
	return fs_sql_run(fs, stmt);
}

dvs_err fs_name_put(struct fs *fs, uint64_t parent, const struct fs_found *found)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_NAME_PUT);

	drop_memos(fs, parent, found->cookie);
	if (stmt) {
		fs_bind(stmt, 1, parent);
		fs_bind(stmt, 2, found->cookie);
		fs_bind(stmt, 3, found->ino);
		fs_bind(stmt, 4, found->kind);
	}
	return fs_sql_run(fs, stmt);
}

dvs_err fs_name_remove(struct fs *fs, uint64_t parent, uint64_t cookie)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_NAME_REMOVE);

	drop_memos(fs, parent, cookie);
	if (stmt) {
		fs_bind(stmt, 1, parent);
		fs_bind(stmt, 2, cookie);
	}
	return fs_sql_run(fs, stmt);
}
