/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations of several users, on the file system and on the kernel's tmpfs: each result is compared, and what is there after it. DVS_SEED in the environment is the first seed, DVS_ROUNDS how many. Without root's rights there is nothing to compare with. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "fs_tmpfs.h"
#include "unit.h"

#define ROUNDS 12u
#define STEPS 600u
#define OLD_S 1000

static const uint32_t no_groups[1] = { 0 }, one_group[] = { 2001 }, two_groups[] = { 2001, 2002 };
static const struct fs_who users[] = {
	{ .uid = 0, .gid = 0, .flags = 255, .groups = no_groups },
	{ .uid = 1001, .gid = 2001, .groups = no_groups },
	{ .uid = 1001, .gid = 2001, .n_groups = 2, .groups = two_groups },
	{ .uid = 1002, .gid = 2002, .groups = no_groups },
	{ .uid = 1003, .gid = 2003, .n_groups = 1, .groups = one_group },
};

uint32_t pair_draw(struct pair *p, uint32_t below)
{
	p->state = p->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((p->state >> 33) % below);
}

void pair_become(const struct fs_who *who)
{
	gid_t groups[4];

	for (uint32_t i = 0; i < who->n_groups; i++)
		groups[i] = who->groups[i];
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setgroups(who->n_groups, groups), 0);
	ck_assert_int_eq(setegid(who->gid), 0);
	ck_assert_int_eq(seteuid(who->uid), 0);
}

/* ---- what both sides look like ---- */

struct slot *pair_any(struct pair *p)
{
	struct slot *slot;

	do
		slot = &p->slot[pair_draw(p, SLOTS)];
	while (slot->fd < 0);
	return slot;
}

static void drop_slot(struct pair *p, struct slot *slot)
{
	dvs_err err = fs_is_last_pin(p->fs, slot->ino) ? CHANGE(p->fs, fs_unpin(p->fs, slot->ino)) :
							 fs_unpin(p->fs, slot->ino);

	ck_assert_msg(err == DVS_OK, "%s: unpin", p->what);
	(void)close(slot->fd);
	slot->fd = -1;
}

/* The file of that name comes into a slot, if it is not in one. FD may be -1. */
void pair_keep(struct pair *p, uint64_t ino, int fd)
{
	struct slot *slot;

	ck_assert_msg(fd >= 0, "%s: %s", p->what, strerror(errno));
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (p->slot[i].fd >= 0 && p->slot[i].ino == ino) {
			(void)close(fd);
			return;
		}
	}
	slot = &p->slot[1 + pair_draw(p, SLOTS - 1)];
	ck_assert(fs_pin(p->fs, ino) == DVS_OK);
	if (slot->fd >= 0)
		drop_slot(p, slot);
	*slot = (struct slot){ ino, fd };
}

const char *pair_path(const struct slot *slot)
{
	static char path[2][40];
	static int turn;

	turn = !turn;
	(void)snprintf(path[turn], sizeof(path[0]), "/proc/self/fd/%d", slot->fd);
	return path[turn];
}

void pair_same(struct pair *p, dvs_err err, int result)
{
	int ours = dvs_err_errno(err), theirs = result < 0 ? errno : 0;

	if (err == DVS_NOTSUP && theirs == ENOTSUP)
		return;
	ck_assert_msg(ours == theirs, "%s: %s, Linux says %s", p->what, strerror(ours),
		      strerror(theirs));
}

static void compare_attr(struct pair *p, const struct slot *slot)
{
	struct fs_attr attr = fs_help_attr(p->fs, slot->ino);
	struct stat st;

	ck_assert_int_eq(fstat(slot->fd, &st), 0);
	ck_assert_msg(attr.mode == st.st_mode && attr.nlink == st.st_nlink &&
			      attr.uid == st.st_uid && attr.gid == st.st_gid &&
			      (S_ISDIR(attr.mode) || attr.size == (uint64_t)st.st_size) &&
			      (attr.mtime_s == OLD_S) == (st.st_mtim.tv_sec == OLD_S) &&
			      (S_ISLNK(attr.mode) || S_ISDIR(attr.mode) ||
			       (attr.atime_s == OLD_S) == (st.st_atim.tv_sec == OLD_S)),
		      "%s: file %llu: mode %o %o nlink %u %lu owner %u:%u %u:%u size %llu %lld "
		      "mtime %lld %lld atime %lld %lld",
		      p->what, (unsigned long long)slot->ino, attr.mode, st.st_mode, attr.nlink,
		      (unsigned long)st.st_nlink, attr.uid, attr.gid, st.st_uid, st.st_gid,
		      (unsigned long long)attr.size, (long long)st.st_size, (long long)attr.mtime_s,
		      (long long)st.st_mtim.tv_sec, (long long)attr.atime_s,
		      (long long)st.st_atim.tv_sec);
}

static uint32_t count_names(const char *list, size_t len)
{
	uint32_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += list[i] == 0;
	return n;
}

static void compare_xattrs(struct pair *p, const struct slot *slot)
{
	char list[4096], value[4096];
	const char *ours;
	const void *our_value;
	size_t len, our_len;
	ssize_t got = listxattr(pair_path(slot), list, sizeof(list));

	ck_assert_int_ge(got, 0);
	ck_assert(fs_listxattr(p->fs, &fs_root, slot->ino, &ours, &len) == DVS_OK);
	ck_assert_msg(count_names(list, (size_t)got) == count_names(ours, len),
		      "%s: file %llu has %u and %u xattrs", p->what, (unsigned long long)slot->ino,
		      count_names(ours, len), count_names(list, (size_t)got));
	for (const char *name = list; name < list + got; name += strlen(name) + 1) {
		ssize_t bytes = getxattr(pair_path(slot), name, value, sizeof(value));

		ck_assert_int_ge(bytes, 0);
		ck_assert_msg(fs_getxattr(p->fs, &fs_root, slot->ino, fs_help_name(name),
					  &our_value, &our_len) == DVS_OK,
			      "%s: %s is missing", p->what, name);
		ck_assert_msg(our_len == (size_t)bytes && memcmp(our_value, value, our_len) == 0,
			      "%s: %s has another value", p->what, name);
	}
}

static bool count_entry(void *context, const struct fs_name_entry *entry)
{
	(void)entry;
	(*(uint32_t *)context)++;
	return true;
}

static void compare_names(struct pair *p, const struct slot *slot)
{
	uint32_t n = 0, m = 0;
	bool end;
	int fd = openat(slot->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	dvs_err err = fs_readdir(p->fs, slot->ino, 0, count_entry, &n, &end);

	if (!dir) {
		pair_same(p, err, -1);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		struct fs_attr attr;
		struct stat st;

		m++;
		if (strcmp(entry->d_name, "..") == 0)
			continue;
		ck_assert_int_eq(fstatat(slot->fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_msg(fs_lookup(p->fs, &fs_root, slot->ino, fs_help_name(entry->d_name),
					&attr) == DVS_OK &&
				      attr.mode == st.st_mode && attr.nlink == st.st_nlink,
			      "%s: %s in %llu is another file: mode %o %o nlink %u %lu", p->what,
			      entry->d_name, (unsigned long long)slot->ino, attr.mode, st.st_mode,
			      attr.nlink, (unsigned long)st.st_nlink);
	}
	(void)closedir(dir);
	/* tmpfs reads a directory that was removed as empty. */
	ck_assert_msg((err == DVS_OK && end && m == n) || (err == DVS_NOTFOUND && m == 0),
		      "%s: %u and %u names", p->what, n, m);
}

static void compare(struct pair *p)
{
	pair_become(&fs_root);
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (p->slot[i].fd < 0)
			continue;
		compare_attr(p, &p->slot[i]);
		compare_xattrs(p, &p->slot[i]);
		if (S_ISDIR(fs_help_attr(p->fs, p->slot[i].ino).mode))
			compare_names(p, &p->slot[i]);
	}
}

/* Both sides' times become old, so that it shows what changes them. */
static void age(struct pair *p)
{
	const struct timespec old[2] = { { .tv_sec = OLD_S }, { .tv_sec = OLD_S } };
	const struct fs_change change = { .valid = 48, .atime_s = OLD_S, .mtime_s = OLD_S };
	struct fs_attr attr;

	pair_become(&fs_root);
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (p->slot[i].fd < 0)
			continue;
		ck_assert_int_eq(utimensat(p->slot[i].fd, "", old, AT_EMPTY_PATH), 0);
		ck_assert(CHANGE(p->fs, fs_setattr(p->fs, &fs_root, p->slot[i].ino, &change, false,
						   &attr)) == DVS_OK);
	}
}

static void pair_open(struct pair *p, uint64_t seed)
{
	*p = (struct pair){ .fs = seed % 2 ? fs_help_open_volatile() : fs_help_open(),
			    .state = seed };
	p->fs->max_behind = 5;
	memcpy(p->dir, "/dev/shm/dvs-fs-XXXXXX", 23);
	pair_become(&fs_root);
	ck_assert_ptr_nonnull(mkdtemp(p->dir));
	ck_assert_int_eq(chmod(p->dir, 0755), 0);
	for (uint32_t i = 0; i < SLOTS; i++)
		p->slot[i].fd = -1;
	ck_assert(fs_pin(p->fs, FS_ROOT) == DVS_OK);
	p->slot[0] = (struct slot){ FS_ROOT, open(p->dir, O_PATH | O_CLOEXEC) };
	ck_assert_int_ge(p->slot[0].fd, 0);
}

static void pair_close(struct pair *p)
{
	char command[64];

	pair_become(&fs_root);
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (p->slot[i].fd >= 0)
			drop_slot(p, &p->slot[i]);
	}
	fs_help_check(p->fs);
	fs_help_close(p->fs);
	(void)snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	ck_assert_int_eq(system(command), 0);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

TEST(random_operations_end_as_those_on_tmpfs)
{
	uint64_t seed = number_of("DVS_SEED", (uint64_t)time(NULL) * 1000);

	if (geteuid() != 0 || access("/dev/shm", W_OK) != 0)
		return;
	for (uint64_t r = number_of("DVS_ROUNDS", ROUNDS); r > 0; r--, seed++) {
		struct pair p;

		(void)printf("# seed %llu\n", (unsigned long long)seed);
		(void)fflush(stdout);
		pair_open(&p, seed);
		for (uint32_t i = 0; i < STEPS; i++) {
			age(&p);
			p.who = &users[pair_draw(&p, 3) ? pair_draw(&p, ARRAY_LEN(users)) : 0];
			pair_step(&p);
			compare(&p);
		}
		pair_close(&p);
	}
}

int main(void)
{
	const TTest *const tests[] = { random_operations_end_as_those_on_tmpfs };

	memset(pair_long_name, 'x', 256);
	memset(pair_longest_name, 'y', 255);
	return unit_run("fs-tmpfs", tests, ARRAY_LEN(tests), 120);
}
