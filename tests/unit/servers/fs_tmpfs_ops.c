/* SPDX-License-Identifier: Apache-2.0 */
/* The operations, drawn at random. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/compiler.h"
#include "fs_tmpfs.h"
#include "unit.h"

char pair_long_name[257], pair_longest_name[256];

static const char *const names[] = {
	"a", "b", "c", "d", "e", ".", "..", pair_long_name, pair_longest_name, "\xff\x01 \n\\"
};
static const char *const xattrs[] = { "user.a",
				      "user.b",
				      "trusted.a",
				      "user.",
				      "foo.a",
				      "system.foo",
				      "trusted.",
				      "security.",
				      "security.capability",
				      "system.posix_acl_access",
				      "system.posix_acl_default" };

/* One that is a directory, most of the time. */
static struct slot *dir_slot(struct pair *p)
{
	struct slot *slot = pair_any(p);

	for (int i = 0; i < 4 && !S_ISDIR(fs_help_attr(p->fs, slot->ino).mode); i++)
		slot = pair_any(p);
	return slot;
}

static void keep_name(struct pair *p, const struct slot *dir, const char *name)
{
	struct fs_attr attr;

	pair_become(&fs_root);
	ck_assert(fs_lookup(p->fs, &fs_root, dir->ino, fs_help_name(name), &attr) == DVS_OK);
	pair_keep(p, attr.ino, openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

static const char *any_name(struct pair *p)
{
	return names[pair_draw(p, 4) ? pair_draw(p, 5) : pair_draw(p, ARRAY_LEN(names))];
}

static uint32_t any_mode(struct pair *p)
{
	static const uint32_t modes[] = { 0777,	 0755,	0700,  0770, 0644, 01777, 02775,
					  04755, 06777, 02644, 0,    0070, 0007,  07777 };

	return pair_draw(p, 4) ? modes[pair_draw(p, ARRAY_LEN(modes))] : pair_draw(p, 010000);
}

#define SAY(p, ...) (void)snprintf((p)->what, sizeof((p)->what), __VA_ARGS__)

static void op_make(struct pair *p)
{
	static const uint32_t kinds[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFDIR,
					  S_IFIFO, S_IFCHR, S_IFSOCK };
	const struct slot *dir = dir_slot(p);
	const char *name = any_name(p);
	uint32_t kind = kinds[pair_draw(p, ARRAY_LEN(kinds))], mode = any_mode(p);
	uint32_t mask = pair_draw(p, 2) ? 022 : any_mode(p) & 0777;
	struct fs_attr attr;
	dvs_err err;
	int result;

	SAY(p, "user %u makes %.9s in %llu, mode %o umask %o", p->who->uid, name,
	    (unsigned long long)dir->ino, kind | mode, mask);
	pair_become(p->who);
	(void)umask(mask);
	if (kind == S_IFDIR)
		result = mkdirat(dir->fd, name, mode);
	else
		result = mknodat(dir->fd, name, kind | mode, makedev(1, 3));
	err = CHANGE(p->fs, fs_make(p->fs, p->who, dir->ino, fs_help_name(name), kind | mode, mask,
				    (uint32_t)makedev(1, 3), &attr));
	pair_same(p, err, result);
	if (err == DVS_OK)
		keep_name(p, dir, name);
}

static void op_symlink(struct pair *p)
{
	const struct slot *dir = dir_slot(p);
	const char *name = any_name(p);
	struct fs_attr attr;
	dvs_err err;
	int result;

	SAY(p, "user %u symlinks %.9s in %llu", p->who->uid, name, (unsigned long long)dir->ino);
	pair_become(p->who);
	result = symlinkat("no/where", dir->fd, name);
	err = CHANGE(p->fs, fs_make_symlink(p->fs, p->who, dir->ino, fs_help_name(name),
					    fs_help_name("no/where"), &attr));
	pair_same(p, err, result);
	if (err == DVS_OK)
		keep_name(p, dir, name);
}

static void op_tmpfile(struct pair *p)
{
	const struct slot *dir = dir_slot(p);
	uint32_t mode = any_mode(p), mask = any_mode(p) & 0777;
	bool linkable = pair_draw(p, 2);
	char path[40];
	struct fs_attr attr;
	dvs_err err;
	int fd, kept;

	if (fs_help_attr(p->fs, dir->ino).nlink == 0)
		return;
	SAY(p, "user %u opens a file without a name in %llu, mode %o umask %o", p->who->uid,
	    (unsigned long long)dir->ino, mode, mask);
	pair_become(p->who);
	(void)umask(mask);
	fd = openat(dir->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | (linkable ? 0 : O_EXCL), mode);
	/* A path's "." of what is no directory, or may not be searched, ends before. */
	err = CHANGE(p->fs, fs_make_tmpfile(p->fs, p->who, dir->ino, mode, mask, linkable, &attr));
	pair_same(p, err, fd);
	if (err != DVS_OK)
		return;
	pair_become(&fs_root);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	kept = open(path, O_PATH | O_CLOEXEC);
	(void)close(fd);
	pair_keep(p, attr.ino, kept);
	ck_assert(fs_unpin(p->fs, attr.ino) == DVS_OK);
}

/* fs.protected_hardlinks is the kernel's affair, not the file system's. */
static bool may_link(struct pair *p, const struct slot *slot)
{
	return p->who->uid == 0 || fs_help_attr(p->fs, slot->ino).uid == p->who->uid;
}

static void op_link(struct pair *p)
{
	const struct slot *slot = pair_any(p), *dir = dir_slot(p);
	const char *name = any_name(p);
	struct fs_attr attr;
	dvs_err err;
	int result;

	if (!may_link(p, slot))
		return;
	SAY(p, "user %u links %llu as %.9s in %llu", p->who->uid, (unsigned long long)slot->ino,
	    name, (unsigned long long)dir->ino);
	pair_become(p->who);
	result = linkat(AT_FDCWD, pair_path(slot), dir->fd, name, AT_SYMLINK_FOLLOW);
	err = CHANGE(p->fs, fs_link(p->fs, p->who, slot->ino, dir->ino, fs_help_name(name), &attr));
	pair_same(p, err, result);
}

static void op_unlink(struct pair *p)
{
	const struct slot *dir = dir_slot(p);
	const char *name = any_name(p);
	bool is_dir = pair_draw(p, 2);
	struct fs_concerned concerned;
	dvs_err err;
	int result;

	SAY(p, "user %u removes %s%.9s in %llu", p->who->uid, is_dir ? "directory " : "", name,
	    (unsigned long long)dir->ino);
	pair_become(p->who);
	result = unlinkat(dir->fd, name, is_dir ? AT_REMOVEDIR : 0);
	err = CHANGE(p->fs,
		     fs_unlink(p->fs, p->who, dir->ino, fs_help_name(name), is_dir, &concerned));
	pair_same(p, err, result);
}

static void op_rename(struct pair *p)
{
	static const uint32_t flags[] = { 0, 0, 0, 1, 2, 2, 3, 8 };
	const struct slot *dir = dir_slot(p), *new_dir = pair_draw(p, 3) ? dir_slot(p) : dir;
	const char *name = any_name(p), *new_name = any_name(p);
	uint32_t flag = flags[pair_draw(p, ARRAY_LEN(flags))];
	struct fs_concerned concerned;
	dvs_err err;
	int result;

	SAY(p, "user %u renames %.9s in %llu to %.9s in %llu, flags %u", p->who->uid, name,
	    (unsigned long long)dir->ino, new_name, (unsigned long long)new_dir->ino, flag);
	pair_become(p->who);
	result = (int)syscall(SYS_renameat2, dir->fd, name, new_dir->fd, new_name, flag);
	err = CHANGE(p->fs, fs_rename(p->fs, p->who, dir->ino, fs_help_name(name), new_dir->ino,
				      fs_help_name(new_name), flag, &concerned));
	pair_same(p, err, result);
}

static void op_lookup(struct pair *p)
{
	const struct slot *dir = dir_slot(p);
	const char *name = any_name(p);
	struct fs_attr attr;
	struct stat st;
	int result;
	dvs_err err;

	if (strcmp(name, "..") == 0 || fs_help_attr(p->fs, dir->ino).nlink == 0)
		return;
	SAY(p, "user %u looks %.9s up in %llu", p->who->uid, name, (unsigned long long)dir->ino);
	pair_become(p->who);
	result = fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW);
	err = fs_lookup(p->fs, p->who, dir->ino, fs_help_name(name), &attr);
	pair_same(p, err, result);
	if (err == DVS_OK) {
		ck_assert_uint_eq(attr.mode, st.st_mode);
		keep_name(p, dir, name);
	}
}

static void op_chmod(struct pair *p)
{
	const struct slot *slot = pair_any(p);
	struct fs_change change = { .valid = 1, .mode = any_mode(p) };
	struct fs_attr attr;
	int result;

	SAY(p, "user %u changes the mode of %llu to %o", p->who->uid, (unsigned long long)slot->ino,
	    change.mode);
	pair_become(p->who);
	result = chmod(pair_path(slot), change.mode);
	pair_same(p, CHANGE(p->fs, fs_setattr(p->fs, p->who, slot->ino, &change, false, &attr)),
		  result);
}

static void op_chown(struct pair *p)
{
	static const uint32_t uids[] = { UINT32_MAX, UINT32_MAX, 0, 1001, 1002 };
	static const uint32_t gids[] = { UINT32_MAX, 0, 2001, 2002, 2003 };
	const struct slot *slot = pair_any(p);
	struct fs_change change = { .uid = uids[pair_draw(p, 5)], .gid = gids[pair_draw(p, 5)] };
	struct fs_attr attr;
	int result;

	if (change.uid == UINT32_MAX && change.gid == UINT32_MAX)
		return;
	change.valid = (change.uid == UINT32_MAX ? 0 : 2u) | (change.gid == UINT32_MAX ? 0 : 4u);
	SAY(p, "user %u changes the owner of %llu to %d:%d", p->who->uid,
	    (unsigned long long)slot->ino, (int)change.uid, (int)change.gid);
	pair_become(p->who);
	result = fchownat(slot->fd, "", change.uid, change.gid, AT_EMPTY_PATH);
	pair_same(p, CHANGE(p->fs, fs_setattr(p->fs, p->who, slot->ino, &change, false, &attr)),
		  result);
}

static void op_times(struct pair *p)
{
	static const long kinds[] = { UTIME_NOW, UTIME_OMIT, 5 };
	static const uint32_t atime[] = { 64, 0, 16 }, mtime[] = { 128, 0, 32 };
	const struct slot *slot = pair_any(p);
	uint32_t a = pair_draw(p, 3), m = pair_draw(p, 3);
	struct fs_change change = { .valid = atime[a] | mtime[m],
				    .atime_s = 77,
				    .atime_ns = 5,
				    .mtime_s = 77,
				    .mtime_ns = 5 };
	const struct timespec times[2] = { { 77, kinds[a] }, { 77, kinds[m] } };
	struct fs_attr attr;
	int result;

	if (change.valid == 0)
		return;
	SAY(p, "user %u sets times of %llu, valid %u", p->who->uid, (unsigned long long)slot->ino,
	    change.valid);
	pair_become(p->who);
	result = utimensat(slot->fd, "", times, AT_EMPTY_PATH);
	pair_same(p, CHANGE(p->fs, fs_setattr(p->fs, p->who, slot->ino, &change, false, &attr)),
		  result);
}

static void op_truncate(struct pair *p)
{
	const struct slot *slot = pair_any(p);
	struct fs_change change = { .valid = 8,
				    .size = pair_draw(p, 3) ? pair_draw(p, 4) * 5000 : 0 };
	struct fs_attr attr;
	int result;

	if (S_ISLNK(fs_help_attr(p->fs, slot->ino).mode))
		return; /* a path never leads there */
	SAY(p, "user %u truncates %llu", p->who->uid, (unsigned long long)slot->ino);
	pair_become(p->who);
	result = truncate(pair_path(slot), (off_t)change.size);
	pair_same(p, CHANGE(p->fs, fs_setattr(p->fs, p->who, slot->ino, &change, false, &attr)),
		  result);
}

static void op_access(struct pair *p)
{
	const struct slot *slot = pair_any(p);
	uint32_t mask = pair_draw(p, 8);
	int result;

	if (S_ISLNK(fs_help_attr(p->fs, slot->ino).mode))
		return;
	SAY(p, "user %u may %u of %llu", p->who->uid, mask, (unsigned long long)slot->ino);
	pair_become(p->who);
	result = (int)syscall(SYS_faccessat2, AT_FDCWD, pair_path(slot), mask, AT_EACCESS);
	pair_same(p, fs_access(p->fs, p->who, slot->ino, mask), result);
}

static void op_open(struct pair *p)
{
	static const uint32_t all[] = { O_RDONLY,
					O_WRONLY,
					O_RDWR,
					O_RDONLY | O_DIRECTORY,
					O_RDWR | O_DIRECTORY,
					O_RDONLY | O_NOATIME,
					O_RDONLY | O_APPEND };
	const struct slot *slot = pair_any(p);
	uint32_t flags = all[pair_draw(p, ARRAY_LEN(all))],
		 mode = fs_help_attr(p->fs, slot->ino).mode;
	struct fs_attr attr;
	int fd;

	if (!S_ISREG(mode) && !S_ISDIR(mode))
		return;
	SAY(p, "user %u opens %llu with %o", p->who->uid, (unsigned long long)slot->ino, flags);
	pair_become(p->who);
	fd = open(pair_path(slot), (int)flags | O_CLOEXEC);
	pair_same(p, fs_may_open(p->fs, p->who, slot->ino, flags, &attr), fd);
	if (fd >= 0)
		(void)close(fd);
}

static size_t any_acl(struct pair *p, uint8_t *value)
{
	static const uint8_t tags[] = { 1, 2, 4, 8, 16, 32 };
	static const uint32_t ids[] = { 1001, 1002, 1003, 2001, 2002 };
	size_t len = 4;

	memcpy(value, (const uint8_t[]){ pair_draw(p, 30) ? 2 : 1, 0, 0, 0 }, 4);
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		bool is_named = tags[i] == 2 || tags[i] == 8;
		uint32_t n = is_named	   ? pair_draw(p, 3) :
			     tags[i] == 16 ? pair_draw(p, 4) > 0 :
					     pair_draw(p, 30) > 0;

		for (; n > 0; n--, len += 8) {
			uint32_t id = is_named ? ids[pair_draw(p, 5)] : 0;

			memcpy(value + len,
			       (const uint8_t[]){ tags[i], 0,
						  (uint8_t)pair_draw(p, pair_draw(p, 9) ? 8 : 9),
						  0 },
			       4);
			memcpy(value + len + 4, &id, 4);
		}
	}
	return pair_draw(p, 30) ? len : len - 1;
}

static void op_setxattr(struct pair *p)
{
	const struct slot *slot = pair_any(p);
	const char *name = xattrs[pair_draw(p, ARRAY_LEN(xattrs))];
	uint32_t flags = pair_draw(p, 4);
	uint8_t value[256] = { 1, 0, 0, 2, 5 };
	size_t len =
		pair_draw(p, 2) ?
			20 :
			1 + pair_draw(
				    p,
				    23); /* an empty capability is not refused by Linux, to nobody */
	int result;

	if (strstr(name, "posix_acl"))
		len = any_acl(p, value);
	SAY(p, "user %u sets %s of %llu, flags %u, %zu bytes", p->who->uid, name,
	    (unsigned long long)slot->ino, flags, len);
	pair_become(p->who);
	result = setxattr(pair_path(slot), name, value, len, (int)flags);
	pair_same(p,
		  CHANGE(p->fs, fs_setxattr(p->fs, p->who, slot->ino, fs_help_name(name), value,
					    len, flags)),
		  result);
}

static void op_getxattr(struct pair *p)
{
	const struct slot *slot = pair_any(p);
	const char *name = xattrs[pair_draw(p, ARRAY_LEN(xattrs))];
	char value[512];
	const void *ours;
	size_t len;
	int result;

	SAY(p, "user %u gets %s of %llu", p->who->uid, name, (unsigned long long)slot->ino);
	pair_become(p->who);
	result = (int)getxattr(pair_path(slot), name, value, sizeof(value));
	pair_same(p, fs_getxattr(p->fs, p->who, slot->ino, fs_help_name(name), &ours, &len),
		  result);
}

static void op_removexattr(struct pair *p)
{
	const struct slot *slot = pair_any(p);
	const char *name = xattrs[pair_draw(p, ARRAY_LEN(xattrs))];
	int result;

	SAY(p, "user %u removes %s of %llu", p->who->uid, name, (unsigned long long)slot->ino);
	pair_become(p->who);
	result = removexattr(pair_path(slot), name);
	pair_same(p, CHANGE(p->fs, fs_removexattr(p->fs, p->who, slot->ino, fs_help_name(name))),
		  result);
}

static void (*const all_ops[])(struct pair *p) = {
	op_make,   op_make,   op_make,	   op_make,	op_symlink,  op_tmpfile,    op_link,
	op_unlink, op_unlink, op_rename,   op_rename,	op_rename,   op_lookup,	    op_lookup,
	op_chmod,  op_chmod,  op_chown,	   op_chown,	op_times,    op_truncate,   op_access,
	op_open,   op_open,   op_setxattr, op_setxattr, op_getxattr, op_removexattr
};

void pair_step(struct pair *p)
{
	all_ops[pair_draw(p, ARRAY_LEN(all_ops))](p);
}
