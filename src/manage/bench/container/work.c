/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench work DIMENSION MS: what a neighbour does, for so long; prints how often per second. With MS 0: what a greedy DC does, until it is killed: as much as it gets, but
 * not more than leaves the machine alive without limits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/internal.h"

#define CHUNK ((size_t)16 << 20)
#define GREEDY_BYTES_MAX ((size_t)3 << 30)
#define BLOCK ((size_t)256 << 10)
#define DATA_FILE "/data/work-"

enum { ROUNDS = 1000000, GREEDY_PROCESSES_MAX = 2000, FILE_BLOCKS = 64 };

struct work {
	const char *name;
	/* One piece; false: it could not be done. */
	bool (*piece)(uint64_t n);
	void (*greedy)(void); /* does not return */
};

/* ---- pieces ---- */

static bool compute(uint64_t n)
{
	volatile uint64_t sink;
	uint64_t x = n;

	for (int i = 0; i < ROUNDS; i++)
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	sink = x;
	(void)sink;
	return true;
}

static bool use_memory(uint64_t n)
{
	void *memory =
		mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	memset(memory, (int)(n & 0xff) | 1, CHUNK);
	munmap(memory, CHUNK);
	return true;
}

static bool start_process(uint64_t n)
{
	pid_t pid = fork();

	(void)n;
	if (pid == 0)
		_exit(0);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pid > 0;
}

static int open_data(void)
{
	char path[64];

	snprintf(path, sizeof(path), DATA_FILE "%d", (int)getpid());
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static bool write_block(int fd, uint64_t n)
{
	static const char block[BLOCK] = { 1 };

	return pwrite(fd, block, BLOCK, (off_t)(n % FILE_BLOCKS * BLOCK)) == (ssize_t)BLOCK &&
	       fdatasync(fd) == 0;
}

static bool use_disk(uint64_t n)
{
	int fd = open_data();
	bool done = fd >= 0 && write_block(fd, n);

	if (fd >= 0)
		close(fd);
	return done;
}

/* ---- greed ---- */

static _Noreturn void for_ever(bool (*piece)(uint64_t n))
{
	for (uint64_t n = 0;; n++)
		(void)!piece(n);
}

/* So many that all CPUs are kept busy. */
static void multiply(void)
{
	for (long i = 2 * sysconf(_SC_NPROCESSORS_ONLN); i > 1; i--)
		if (fork() == 0)
			return;
}

static _Noreturn void greedy_cpu(void)
{
	multiply();
	for_ever(compute);
}

/* Whoever is killed for it is followed by another one. */
static _Noreturn void greedy_memory(void)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			break;
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (;;) {
		char *memory = mmap(NULL, GREEDY_BYTES_MAX, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (memory == MAP_FAILED)
			_exit(1);
		memset(memory, 1, GREEDY_BYTES_MAX);
		munmap(memory, GREEDY_BYTES_MAX);
	}
}

static _Noreturn void greedy_processes(void)
{
	unsigned n = 0;

	for (;;) {
		pid_t pid = n < GREEDY_PROCESSES_MAX ? fork() : -1;

		if (pid == 0) {
			/* Alive for a while, so that there are many. */
			struct timespec while_ns = { .tv_nsec = 50000000 };

			nanosleep(&while_ns, NULL);
			_exit(0);
		}
		n += pid > 0;
		while (n > 0 && waitpid(-1, NULL, pid > 0 ? WNOHANG : 0) > 0)
			n--;
	}
}

static _Noreturn void greedy_disk(void)
{
	int fd;

	multiply();
	fd = open_data();
	for (uint64_t n = 0;; n++)
		if (!write_block(fd, n))
			_exit(1);
}

static const struct work works[] = {
	{ "cpu", compute, greedy_cpu },
	{ "memory", use_memory, greedy_memory },
	{ "processes", start_process, greedy_processes },
	{ "disk", use_disk, greedy_disk },
};

int bench_work_main(int argc, char **argv)
{
	const struct work *work = NULL;
	uint64_t begin_ns = clock_now_ns(), end_ns, n = 0;
	long ms = argc == 3 ? strtol(argv[2], NULL, 10) : -1;

	for (size_t i = 0; argc == 3 && i < ARRAY_LEN(works); i++)
		if (strcmp(argv[1], works[i].name) == 0)
			work = &works[i];
	if (!work || ms < 0) {
		fprintf(stderr, "usage: dvs bench work cpu|memory|processes|disk MILLISECONDS\n");
		return 2;
	}
	if (ms == 0)
		work->greedy();
	do {
		if (!work->piece(n++)) {
			fprintf(stderr, "dvs bench: %s: %s\n", work->name, strerror(errno));
			return 1;
		}
		end_ns = clock_now_ns();
	} while (end_ns - begin_ns < (uint64_t)ms * CLOCK_NS_PER_MS);
	printf("%.3f\n", (double)n * 1e9 / (double)(end_ns - begin_ns));
	return 0;
}
