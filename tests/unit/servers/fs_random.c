/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations beside a plain model: several in a change set, which is committed, rolled back, or fails; with few inodes in memory, and the file system closed and opened again meanwhile. Each result and the whole tree are compared.
 * DVS_SEED in the environment is the first seed, DVS_ROUNDS how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "fs_model.h"
#include "unit.h"

#define ROUNDS 40u
#define SETS 150u

static const uint32_t groups[] = { 2001, 2002 };
static const struct fs_who users[] = {
	{ .flags = 255, .groups = groups },
	{ .uid = 1001, .gid = 2001, .groups = groups },
	{ .uid = 1002, .gid = 2003, .n_groups = 2, .groups = groups },
};
static const char *const names[MODEL_NAMES] = { "a", "b", "c", "d", "\xff", "long name" };

struct pair {
	struct fs *fs;
	struct model now, before; /* the change set */
	uint64_t state, last_ino;
	const struct fs_who *who;
	char what[128];
};

static uint32_t draw(struct pair *p, uint32_t below)
{
	p->state = p->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((p->state >> 33) % below);
}

static uint32_t any_file(struct pair *p)
{
	uint32_t file;

	do
		file = 1 + draw(p, MODEL_FILES - 1);
	while (!p->now.file[file].is_there);
	return file;
}

static uint32_t any_dir(struct pair *p)
{
	uint32_t file = any_file(p);

	for (int i = 0; i < 4 && !S_ISDIR(p->now.file[file].mode); i++)
		file = any_file(p);
	return file;
}

static uint64_t ino_of(const struct pair *p, uint32_t file)
{
	return p->now.file[file].ino;
}

static uint32_t any_mode(struct pair *p)
{
	return draw(p, 3) ? 0777u | draw(p, 8) << 9 : draw(p, 010000);
}

#define SAY(p, ...) (void)snprintf((p)->what, sizeof((p)->what), __VA_ARGS__)

static void same(struct pair *p, dvs_err err, dvs_err expected)
{
	ck_assert_msg(err == expected, "user %u: %s: %s, expected %s", p->who->uid, p->what,
		      dvs_strerror(err), dvs_strerror(expected));
}

static void was_made(struct pair *p, uint32_t made, uint64_t ino)
{
	ck_assert_msg(ino > p->last_ino, "%s: a number is used again", p->what);
	p->last_ino = ino;
	p->now.file[made].ino = ino;
}

static void op_make(struct pair *p)
{
	static const uint32_t kinds[] = { S_IFREG, S_IFDIR, S_IFDIR, S_IFIFO };
	uint32_t dir = any_dir(p), name = draw(p, MODEL_NAMES), made = 0;
	uint32_t mode = kinds[draw(p, 4)] | any_mode(p), mask = draw(p, 2) ? 022 : draw(p, 01000);
	uint64_t parent = ino_of(p, dir);
	struct fs_attr attr;
	dvs_err expected;

	if (model_free_place(&p->now) == 0)
		return;
	SAY(p, "make %s in %u, mode %o umask %o", names[name], dir, mode, mask);
	expected = model_make(&p->now, p->who, dir, name, mode, mask, &made);
	same(p, fs_make(p->fs, p->who, parent, fs_help_name(names[name]), mode, mask, 0, &attr),
	     expected);
	if (expected == DVS_OK)
		was_made(p, made, attr.ino);
}

static void op_tmpfile(struct pair *p)
{
	uint32_t dir = any_dir(p), mode = any_mode(p), made = 0;
	bool linkable = draw(p, 2);
	uint64_t parent = ino_of(p, dir);
	struct fs_attr attr;
	dvs_err expected;

	if (model_free_place(&p->now) == 0)
		return;
	SAY(p, "tmpfile in %u", dir);
	expected = model_tmpfile(&p->now, p->who, dir, mode, 022, linkable, &made);
	same(p, fs_make_tmpfile(p->fs, p->who, parent, mode, 022, linkable, &attr), expected);
	if (expected == DVS_OK)
		was_made(p, made, attr.ino);
}

static void op_link(struct pair *p)
{
	uint32_t file = any_file(p), dir = any_dir(p), name = draw(p, MODEL_NAMES);
	struct fs_attr attr;
	dvs_err expected;

	SAY(p, "link %u as %s in %u", file, names[name], dir);
	expected = model_link(&p->now, p->who, file, dir, name);
	same(p,
	     fs_link(p->fs, p->who, ino_of(p, file), ino_of(p, dir), fs_help_name(names[name]),
		     &attr),
	     expected);
}

static void op_unlink(struct pair *p)
{
	uint32_t dir = any_dir(p), name = draw(p, MODEL_NAMES);
	bool is_dir = draw(p, 2);
	struct fs_concerned concerned;
	dvs_err expected;

	SAY(p, "remove %s in %u", names[name], dir);
	expected = model_unlink(&p->now, p->who, dir, name, is_dir);
	same(p,
	     fs_unlink(p->fs, p->who, ino_of(p, dir), fs_help_name(names[name]), is_dir,
		       &concerned),
	     expected);
}

static void op_rename(struct pair *p)
{
	uint32_t dir = any_dir(p), new_dir = draw(p, 3) ? any_dir(p) : dir;
	uint32_t name = draw(p, MODEL_NAMES), new_name = draw(p, MODEL_NAMES);
	uint32_t flags = draw(p, 2) ? 0 : draw(p, 4);
	struct fs_concerned concerned;
	dvs_err expected;

	SAY(p, "rename %s in %u to %s in %u, flags %u", names[name], dir, names[new_name], new_dir,
	    flags);
	expected = model_rename(&p->now, p->who, dir, name, new_dir, new_name, flags);
	same(p,
	     fs_rename(p->fs, p->who, ino_of(p, dir), fs_help_name(names[name]), ino_of(p, new_dir),
		       fs_help_name(names[new_name]), flags, &concerned),
	     expected);
}

static void op_setattr(struct pair *p)
{
	uint32_t file = any_file(p), gid = 2001 + draw(p, 3), uid = 1001 + draw(p, 2);
	struct fs_change change = { .valid = 1, .mode = any_mode(p) };
	struct fs_attr attr;
	dvs_err expected;

	switch (draw(p, 3)) {
	case 0:
		SAY(p, "chmod %u to %o", file, change.mode);
		expected = model_chmod(&p->now, p->who, file, change.mode);
		break;
	case 1:
		uid = draw(p, 2) ? uid : p->now.file[file].uid;
		SAY(p, "chown %u to %u:%u", file, uid, gid);
		change = (struct fs_change){ .valid = 6, .uid = uid, .gid = gid };
		expected = model_chown(&p->now, p->who, file, uid, gid);
		break;
	default:
		SAY(p, "truncate %u", file);
		change = (struct fs_change){ .valid = 8, .size = draw(p, 10000) };
		expected = model_truncate(&p->now, p->who, file, change.size);
	}
	same(p, fs_setattr(p->fs, p->who, ino_of(p, file), &change, false, &attr), expected);
}

static void op_xattr(struct pair *p)
{
	static const char value[64];
	uint32_t file = any_file(p), len = draw(p, 64), flags = draw(p, 3);
	struct fs_name name = fs_help_name("user.x");
	dvs_err expected;

	SAY(p, "xattr of %u", file);
	if (draw(p, 4)) {
		expected = model_set_xattr(&p->now, p->who, file, (int)len, flags);
		same(p, fs_setxattr(p->fs, p->who, ino_of(p, file), name, value, len, flags),
		     expected);
	} else {
		expected = model_remove_xattr(&p->now, p->who, file);
		same(p, fs_removexattr(p->fs, p->who, ino_of(p, file), name), expected);
	}
}

static void op_access(struct pair *p)
{
	uint32_t file = any_file(p), mask = draw(p, 8);

	SAY(p, "access %u with %u", file, mask);
	same(p, fs_access(p->fs, p->who, ino_of(p, file), mask),
	     model_access(&p->now, p->who, file, mask));
}

static void (*const ops[])(struct pair *p) = { op_make,	  op_make,   op_make,	 op_tmpfile,
					       op_link,	  op_unlink, op_unlink,	 op_rename,
					       op_rename, op_rename, op_setattr, op_setattr,
					       op_xattr,  op_access };

/* ---- what is there ---- */

static bool count(void *context, const struct fs_name_entry *entry)
{
	(void)entry;
	(*(uint32_t *)context)++;
	return true;
}

static void compare_dir(struct pair *p, uint32_t dir)
{
	const struct model_file *file = &p->now.file[dir];
	uint32_t n = 0, expected = 2;
	struct fs_attr attr;
	bool end;

	for (uint32_t i = 0; i < MODEL_NAMES; i++) {
		dvs_err err = fs_lookup(p->fs, &fs_root, file->ino, fs_help_name(names[i]), &attr);

		expected += file->entry[i] != 0;
		if (file->entry[i])
			ck_assert_msg(err == DVS_OK && attr.ino == ino_of(p, file->entry[i]),
				      "%s in %u", names[i], dir);
		else
			ck_assert_msg(err == DVS_NOTFOUND, "%s in %u", names[i], dir);
	}
	if (file->nlink == 0)
		return;
	ck_assert(fs_readdir(p->fs, file->ino, 0, count, &n, &end) == DVS_OK);
	ck_assert_uint_eq(n, expected);
	ck_assert(fs_lookup(p->fs, &fs_root, file->ino, fs_help_name(".."), &attr) == DVS_OK);
	ck_assert_uint_eq(attr.ino, ino_of(p, file->parent));
}

static void compare_file(struct pair *p, uint32_t i)
{
	const struct model_file *file = &p->now.file[i];
	struct fs_attr attr = fs_help_attr(p->fs, file->ino);
	const void *value;
	size_t len = 0;
	dvs_err err = fs_getxattr(p->fs, &fs_root, file->ino, fs_help_name("user.x"), &value, &len);

	ck_assert_msg(
		attr.mode == file->mode && attr.nlink == file->nlink && attr.uid == file->uid &&
			attr.gid == file->gid && (S_ISDIR(file->mode) || attr.size == file->size),
		"file %u: mode %o %o, nlink %u %u, owner %u:%u %u:%u", i, attr.mode, file->mode,
		attr.nlink, file->nlink, attr.uid, attr.gid, file->uid, file->gid);
	ck_assert(file->xattr < 0 ? err == DVS_NOATTR :
				    err == DVS_OK && len == (size_t)file->xattr);
	if (S_ISDIR(file->mode))
		compare_dir(p, i);
}

static void compare(struct pair *p)
{
	uint32_t n = 0;
	struct fs_attr attr;

	for (uint32_t i = 1; i < MODEL_FILES; i++) {
		if (p->now.file[i].is_there)
			compare_file(p, i);
		else if (p->now.file[i].ino)
			ck_assert(fs_getattr(p->fs, ino_of(p, i), &attr) == DVS_STALE);
		n += p->now.file[i].is_there;
	}
	ck_assert_uint_eq(p->fs->whole.files, n);
	fs_help_check(p->fs);
}

/* ---- change sets, pins, servers ---- */

static void change_set(struct pair *p)
{
	uint32_t end = draw(p, 10);

	p->before = p->now;
	ck_assert(fs_begin(p->fs) == DVS_OK);
	for (uint32_t i = 1 + draw(p, 6); i > 0; i--) {
		p->who = &users[draw(p, 2) ? draw(p, ARRAY_LEN(users)) : 0];
		ops[draw(p, ARRAY_LEN(ops))](p);
	}
	if (end >= 2) {
		ck_assert(fs_commit(p->fs) == DVS_OK);
		return;
	}
	fs_image(p->fs)->fails_commit = end == 1;
	if (end == 0)
		fs_rollback(p->fs);
	else
		ck_assert(fs_commit(p->fs) == DVS_NOSPACE);
	p->now = p->before;
	p->last_ino = p->fs->whole.next_ino - 1;
}

static void pins(struct pair *p)
{
	uint32_t file = any_file(p);

	if (draw(p, 2)) {
		ck_assert(fs_pin(p->fs, ino_of(p, file)) == DVS_OK);
		p->now.file[file].pins++;
	} else if (p->now.file[file].pins > 0 && file != 1) {
		bool is_last = p->now.file[file].pins == 1 && p->now.file[file].nlink == 0;

		ck_assert(fs_is_last_pin(p->fs, ino_of(p, file)) == is_last);
		ck_assert((is_last ? CHANGE(p->fs, fs_unpin(p->fs, ino_of(p, file))) :
				     fs_unpin(p->fs, ino_of(p, file))) == DVS_OK);
		model_unpin(&p->now, file);
	}
}

/* Another server, where there can be one: clients say what they have open, but for a few who are gone. */
static void take_over(struct pair *p)
{
	bool left = true;

	if (!p->fs->defers)
		p->fs = fs_help_reopen(p->fs);
	p->fs->max_inodes = 4 + draw(p, 40);
	p->fs->max_behind = draw(p, 40);
	if (p->fs->defers)
		return;
	for (uint32_t i = 1; i < MODEL_FILES; i++) {
		struct model_file *file = &p->now.file[i];

		if (file->is_there && i != 1 && draw(p, 4) == 0 && file->pins > 0) {
			file->pins = 1;
			model_unpin(&p->now, i);
		} else {
			for (uint32_t n = file->is_there ? file->pins : 0; n > 0; n--)
				ck_assert(fs_pin(p->fs, file->ino) == DVS_OK);
		}
	}
	while (left)
		ck_assert(CHANGE(p->fs, fs_remove_orphans(p->fs, 3, &left)) == DVS_OK);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

TEST(random_change_sets_leave_what_the_model_has)
{
	uint64_t seed =
		number_of("DVS_SEED", (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000);

	for (uint64_t r = number_of("DVS_ROUNDS", ROUNDS); r > 0; r--, seed++) {
		struct pair p = { .fs = seed % 2 ? fs_help_open_volatile() : fs_help_open(),
				  .state = seed,
				  .last_ino = FS_ROOT };

		(void)printf("# seed %llu\n", (unsigned long long)seed);
		(void)fflush(stdout);
		model_init(&p.now);
		ck_assert(fs_pin(p.fs, FS_ROOT) == DVS_OK);
		for (uint32_t i = 0; i < SETS; i++) {
			change_set(&p);
			pins(&p);
			if (draw(&p, 20) == 0)
				take_over(&p);
			if (draw(&p, 4) == 0)
				compare(&p);
		}
		compare(&p);
		fs_help_close(p.fs);
	}
}

UNIT_MAIN_TIMEOUT("fs-model", 600, random_change_sets_leave_what_the_model_has)
