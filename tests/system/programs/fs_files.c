/* SPDX-License-Identifier: Apache-2.0 */
/* What <dvs/fs.h> promises, seen by a program that has only that header. usage: fs-files RUN_DIR DC NAME; a new directory "made" is left behind in the file system. */
#include <dvs/fs.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES ((size_t)3 << 20)

#define CHECK(what)                                                                      \
	do {                                                                             \
		if (!(what)) {                                                           \
			(void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			exit(EXIT_FAILURE);                                              \
		}                                                                        \
	} while (0)

#define GIVES(call, wanted)                                                                 \
	do {                                                                                \
		dvs_err err_ = (call);                                                      \
		if (err_ != (wanted)) {                                                     \
			(void)fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				      dvs_strerror(err_));                                  \
			exit(EXIT_FAILURE);                                                 \
		}                                                                           \
	} while (0)

#define WORKS(call) GIVES(call, DVS_OK)

static uint8_t data[BYTES], back[BYTES];

static void write_all(struct dvs_fs_thread *me)
{
	struct dvs_file *file;
	struct stat info;
	size_t done;

	for (size_t i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	WORKS(dvs_fs_mkdir(me, "/made", 0755));
	GIVES(dvs_fs_mkdir(me, "made/", 0755), DVS_EXISTS);
	WORKS(dvs_file_open(me, "made/f", O_RDWR | O_CREAT | O_EXCL, 0640, &file, &info));
	CHECK(S_ISREG(info.st_mode) && (info.st_mode & 07777) == 0640 && info.st_size == 0);
	WORKS(dvs_file_write(me, file, 0, data, BYTES, &done));
	CHECK(done == BYTES);
	WORKS(dvs_file_sync(me, file));
	WORKS(dvs_file_stat(me, file, &info));
	CHECK((size_t)info.st_size == BYTES);
	dvs_file_close(me, file);
	GIVES(dvs_file_open(me, "/made/f", O_RDWR | O_CREAT | O_EXCL, 0640, &file, NULL),
	      DVS_EXISTS);
}

static void read_all(struct dvs_fs_thread *me)
{
	struct dvs_file *file;
	const void *view;
	size_t done, len;

	WORKS(dvs_file_open(me, "/made/./../made//f", O_RDONLY, 0, &file, NULL));
	WORKS(dvs_file_read(me, file, 0, back, BYTES, &done));
	CHECK(done == BYTES && memcmp(data, back, BYTES) == 0);
	WORKS(dvs_file_view(me, file, 12345, 100000, &view, &len));
	CHECK(len == 100000 && memcmp(view, data + 12345, len) == 0);
	WORKS(dvs_file_view(me, file, BYTES - 10, 100, &view, &len));
	CHECK(len == 10);
	WORKS(dvs_file_view(me, file, BYTES + 10, 100, &view, &len));
	CHECK(len == 0);
	GIVES(dvs_file_write(me, file, 0, data, 1, &done), DVS_NOHANDLE);
	CHECK(done == 0);
	dvs_file_close(me, file);
}

static void append_and_cut(struct dvs_fs_thread *me)
{
	struct dvs_file *file;
	struct stat info;
	size_t done;

	WORKS(dvs_file_open(me, "/made/f", O_WRONLY | O_APPEND, 0, &file, NULL));
	WORKS(dvs_file_write(me, file, 0, "end", 3, &done));
	WORKS(dvs_file_stat(me, file, &info));
	CHECK((size_t)info.st_size == BYTES + 3);
	dvs_file_close(me, file);
	WORKS(dvs_file_open(me, "/made/f", O_RDWR, 0, &file, NULL));
	WORKS(dvs_file_truncate(me, file, 5));
	WORKS(dvs_file_read(me, file, 0, back, BYTES, &done));
	CHECK(done == 5);
	dvs_file_close(me, file);
	WORKS(dvs_file_open(me, "/made/f", O_WRONLY | O_TRUNC, 0, &file, &info));
	dvs_file_close(me, file);
	WORKS(dvs_fs_stat(me, "/made/f", true, &info));
	CHECK(info.st_size == 0);
}

static void follow_links(struct dvs_fs_thread *me)
{
	char target[64];
	struct dvs_file *file;
	struct stat info;

	WORKS(dvs_fs_symlink(me, "f", "/made/link"));
	WORKS(dvs_fs_symlink(me, "/made", "/made/up"));
	WORKS(dvs_fs_symlink(me, "../../../made/link", "/made/far"));
	WORKS(dvs_fs_symlink(me, "loop", "/made/loop"));
	WORKS(dvs_fs_symlink(me, "none", "/made/dangling"));
	WORKS(dvs_fs_stat(me, "/made/up/up/far", true, &info));
	CHECK(S_ISREG(info.st_mode));
	WORKS(dvs_fs_stat(me, "/made/link", false, &info));
	CHECK(S_ISLNK(info.st_mode));
	WORKS(dvs_fs_stat(me, "/made/up/", false, &info));
	CHECK(S_ISDIR(info.st_mode));
	GIVES(dvs_fs_stat(me, "/made/link/", false, &info), DVS_NOTDIR);
	GIVES(dvs_fs_stat(me, "/made/loop", true, &info), DVS_LOOP);
	GIVES(dvs_fs_stat(me, "/made/loop/x", false, &info), DVS_LOOP);
	GIVES(dvs_fs_stat(me, "/made/dangling", true, &info), DVS_NOTFOUND);
	WORKS(dvs_fs_readlink(me, "/made/far", target, sizeof(target)));
	CHECK(strcmp(target, "../../../made/link") == 0);
	GIVES(dvs_fs_readlink(me, "/made/far", target, 4), DVS_RANGE);
	GIVES(dvs_fs_readlink(me, "/made/f", target, sizeof(target)), DVS_BADARG);
	GIVES(dvs_file_open(me, "/made/link", O_RDONLY | O_NOFOLLOW, 0, &file, NULL), DVS_LOOP);
	GIVES(dvs_file_open(me, "/made/dangling", O_RDWR | O_CREAT | O_EXCL, 0600, &file, NULL),
	      DVS_EXISTS);
	/* As open(2): the file that the link names is made. */
	WORKS(dvs_file_open(me, "/made/dangling", O_RDWR | O_CREAT, 0600, &file, NULL));
	dvs_file_close(me, file);
	WORKS(dvs_fs_stat(me, "/made/none", false, &info));
}

static void be_wrong(struct dvs_fs_thread *me)
{
	char name[300], path[5000];
	struct dvs_file *file;
	struct stat info;

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	memset(path, '/', sizeof(path));
	path[4999] = '\0';
	GIVES(dvs_fs_stat(me, "", true, &info), DVS_NOTFOUND);
	GIVES(dvs_fs_stat(me, name, true, &info), DVS_NAMELONG);
	GIVES(dvs_fs_stat(me, path, true, &info), DVS_NAMELONG);
	GIVES(dvs_fs_stat(me, "/made/f/x", true, &info), DVS_NOTDIR);
	GIVES(dvs_fs_stat(me, "/made/f/", true, &info), DVS_NOTDIR);
	GIVES(dvs_fs_stat(me, "/no/x", true, &info), DVS_NOTFOUND);
	GIVES(dvs_file_open(me, "/no/x", O_RDWR | O_CREAT, 0600, &file, NULL), DVS_NOTFOUND);
	GIVES(dvs_file_open(me, "/made/x/", O_RDWR | O_CREAT, 0600, &file, NULL), DVS_ISDIR);
	GIVES(dvs_file_open(me, "/made", O_RDONLY, 0, &file, NULL), DVS_ISDIR);
	GIVES(dvs_file_open(me, "/made/f", O_RDONLY | O_DIRECT, 0, &file, NULL), DVS_BADARG);
	GIVES(dvs_fs_rmdir(me, "/made"), DVS_NOTEMPTY);
	GIVES(dvs_fs_rmdir(me, "/made/f"), DVS_NOTDIR);
	GIVES(dvs_fs_unlink(me, "/made"), DVS_ISDIR);
	GIVES(dvs_fs_rename(me, "/made/f/", "/made/g"), DVS_NOTDIR);
	GIVES(dvs_fs_rename(me, "/", "/made/g"), DVS_BADSTATE);
	WORKS(dvs_fs_stat(me, "../..//.", true, &info));
	CHECK(S_ISDIR(info.st_mode));
}

static void list(struct dvs_fs_thread *me)
{
	char path[64];
	struct dvs_dir *dir;
	struct dvs_file *file;
	const char *name;
	struct stat info;
	uint32_t n = 0;

	WORKS(dvs_fs_mkdir(me, "/made/many", 0700));
	for (uint32_t i = 0; i < 2000; i++) {
		(void)snprintf(path, sizeof(path), "/made/many/%u", i);
		WORKS(dvs_file_open(me, path, O_WRONLY | O_CREAT, 0600, &file, NULL));
		dvs_file_close(me, file);
	}
	WORKS(dvs_dir_open(me, "/made/many", &dir));
	for (;;) {
		WORKS(dvs_dir_next(me, dir, &name, &info));
		if (!name)
			break;
		CHECK(S_ISREG(info.st_mode) && strtoul(name, NULL, 10) < 2000);
		n++;
	}
	CHECK(n == 2000);
	WORKS(dvs_dir_next(me, dir, &name, &info));
	CHECK(!name);
	dvs_dir_close(me, dir);
	GIVES(dvs_dir_open(me, "/made/f", &dir), DVS_NOTDIR);
	WORKS(dvs_fs_rename(me, "/made/many/7", "/made/seven"));
	GIVES(dvs_fs_stat(me, "/made/many/7", false, &info), DVS_NOTFOUND);
	WORKS(dvs_fs_unlink(me, "/made/seven"));
	WORKS(dvs_fs_mkdir(me, "/made/empty", 0700));
	WORKS(dvs_fs_rmdir(me, "/made/empty/"));
	WORKS(dvs_fs_sync(me));
}

int main(int argc, char **argv)
{
	struct dvs_fs *fs;
	struct dvs_fs_thread *me;

	CHECK(argc == 4);
	GIVES(dvs_fs_open(argv[1], argv[2], "not-there", 1000, &fs), DVS_NOTFOUND);
	GIVES(dvs_fs_open(argv[1], "no-dc", argv[3], 1000, &fs), DVS_NODC);
	WORKS(dvs_fs_open(argv[1], argv[2], argv[3], 30000, &fs));
	WORKS(dvs_fs_enter(fs, &me));
	write_all(me);
	read_all(me);
	append_and_cut(me);
	follow_links(me);
	be_wrong(me);
	list(me);
	dvs_fs_leave(me);
	dvs_fs_close(fs);
	return 0;
}
