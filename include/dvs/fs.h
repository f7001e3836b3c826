/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a DC's file server, for programs that speak to it by M3-IPC and need no mount (paper 000, III.E: what MoL-FS offers through IPC).
 *
 *	struct dvs_fs *fs;
 *	struct dvs_fs_thread *me;
 *	struct dvs_file *file;
 *	const void *data;
 *	size_t len;
 *	dvs_fs_open(NULL, "web", "site", 60000, &fs);
 *	dvs_fs_enter(fs, &me);					each thread, for itself
 *	dvs_file_open(me, "/index.html", O_RDONLY, 0, &file, NULL);
 *	dvs_file_view(me, file, 0, 65536, &data, &len);		no copy: DATA stands where the server put it
 *	dvs_file_close(me, file);
 *
 * A struct dvs_fs is one session. A struct dvs_fs_thread is one thread's endpoint; it, and no other thread, makes the calls that take it. Files belong to the session: any thread may use one, two at
 * once may not close it.
 *
 * Paths begin at the root of the file system, with or without a slash; "." and ".." and symbolic links (at most 40) mean what they mean to the kernel, and none leads out. They have at most
 * DVS_FS_PATH_MAX bytes. Rights are those that the process's effective user and groups have when the thread enters; in file systems for all of a DC (access=dc), those of the user whom the server takes all for.
 *
 * All calls block. When the server goes they wait for the next one, which takes up what was open, up to patience_ms; then: NODEST, PEERDEAD, NODEDOWN, NOQUORUM, NODVSD. Further errors, as the
 * calls of POSIX that are named: NOTFOUND, NOACCESS, DENIED, NOTDIR, ISDIR, NOTEMPTY, EXISTS, NAMELONG, LOOP, LINKS, NOSPACE, QUOTA, FILEBIG, READONLY, NOHANDLE, STALE, BADARG, IO, NOMEM. dvs_err_errno() gives
 * the errno of each. */
#ifndef DVS_FS_H
#define DVS_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <dvs/dvk.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DVS_FS_PATH_MAX 4095u
#define DVS_FS_IO_MAX ((size_t)1 << 20) /* bytes of one dvs_file_view() */

struct dvs_fs;
struct dvs_fs_thread;
struct dvs_file;
struct dvs_dir;

/* ---- the session ---- */

/* With file system NAME of DC, of which the dvsd that has its sockets in RUN_DIR (NULL: /run/dvs) knows. For root and the user who runs dvsd: DENIED for others. NODC, NOTFOUND, NODEST: no server
 * runs within 30 s. A process belongs to one DC at a time. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_open(const char *run_dir, const char *dc, const char *name,
					    uint32_t patience_ms, struct dvs_fs **fs);
/* The same for a program in the DC: over its link DVK, which stays the caller's and outlives the session; SERVER: the server's endpoint, as 'dvs fs inspect' tells it. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_open_on(struct dvk *dvk, dvs_ep server, uint32_t patience_ms,
					       struct dvs_fs **fs);
/* The same by its name: what describes it tells the server. NOTFOUND: the DC has no such file system. DENIED: only managers may ask it (access=managers). */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_open_in(struct dvk *dvk, const char *name,
					       uint32_t patience_ms, struct dvs_fs **fs);
/* All threads have left; what is open is closed. NULL is fine. */
DVS_PUBLIC void dvs_fs_close(struct dvs_fs *fs);

/* An endpoint for the calling thread. FULL, NOMEM. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_enter(struct dvs_fs *fs, struct dvs_fs_thread **me);
/* NULL is fine. */
DVS_PUBLIC void dvs_fs_leave(struct dvs_fs_thread *me);

/* ---- names ---- */

/* As stat(2), or lstat(2) with FOLLOW false. st_dev is 0. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_stat(struct dvs_fs_thread *me, const char *path, bool follow,
					    struct stat *info);
/* As mkdir(2), symlink(2), unlink(2), rmdir(2), rename(2). The umask counts that the process had when the thread entered. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_mkdir(struct dvs_fs_thread *me, const char *path,
					     mode_t mode);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_symlink(struct dvs_fs_thread *me, const char *target,
					       const char *path);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_unlink(struct dvs_fs_thread *me, const char *path);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_rmdir(struct dvs_fs_thread *me, const char *path);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_rename(struct dvs_fs_thread *me, const char *from,
					      const char *to);
/* As readlink(2), with a zero byte behind it. RANGE: TARGET is too small. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_readlink(struct dvs_fs_thread *me, const char *path,
						char *target, size_t size);
/* All that was written, by anybody, is durable. As syncfs(2). */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_fs_sync(struct dvs_fs_thread *me);

/* ---- files ---- */

/* As open(2): O_RDONLY, O_WRONLY or O_RDWR, with O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW; others: BADARG. INFO (or NULL) gets what fstat(2) would tell. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_open(struct dvs_fs_thread *me, const char *path, int flags,
					      mode_t mode, struct dvs_file **file,
					      struct stat *info);
/* FILE is gone in any case; NULL is fine. */
DVS_PUBLIC void dvs_file_close(struct dvs_fs_thread *me, struct dvs_file *file);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_stat(struct dvs_fs_thread *me, struct dvs_file *file,
					      struct stat *info);
/* Up to BYTES (at most DVS_FS_IO_MAX are taken) from OFFSET on, without a copy: *DATA stays as it is until this thread's next call of this file. Fewer than BYTES, 0 too: there the file ends. The memory is
 * shared with the server, which is trusted no more than needs be: look at each byte once. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_view(struct dvs_fs_thread *me, struct dvs_file *file,
					      uint64_t offset, size_t bytes, const void **data,
					      size_t *len);
/* As pread(2) and pwrite(2), for any size; *DONE counts what was done also when the call fails. O_APPEND: OFFSET is not looked at. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_read(struct dvs_fs_thread *me, struct dvs_file *file,
					      uint64_t offset, void *data, size_t bytes,
					      size_t *done);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_write(struct dvs_fs_thread *me, struct dvs_file *file,
					       uint64_t offset, const void *data, size_t bytes,
					       size_t *done);
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_truncate(struct dvs_fs_thread *me, struct dvs_file *file,
						  uint64_t size);
/* As fsync(2). */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_file_sync(struct dvs_fs_thread *me, struct dvs_file *file);

/* ---- directories ---- */

DVS_PUBLIC DVS_MUST_USE dvs_err dvs_dir_open(struct dvs_fs_thread *me, const char *path,
					     struct dvs_dir **dir);
/* The next entry but "." and "..", with its attributes (as lstat(2)): many come with one call. NAME stays until the next one; *NAME is NULL behind the last. */
DVS_PUBLIC DVS_MUST_USE dvs_err dvs_dir_next(struct dvs_fs_thread *me, struct dvs_dir *dir,
					     const char **name, struct stat *info);
/* NULL is fine. */
DVS_PUBLIC void dvs_dir_close(struct dvs_fs_thread *me, struct dvs_dir *dir);

#ifdef __cplusplus
}
#endif

#endif
