/* SPDX-License-Identifier: Apache-2.0 */
/* Attaches memory instead of a volume, for the tests of everything between the two:
 *
 *	attach-memory start RUN_DIR NAME BYTES [nbd] [read-only]	prints the device
 *	attach-memory list RUN_DIR				prints volume, device, state, keeper, server
 *	attach-memory detach RUN_DIR WHAT [force]
 *
 * nbd: for the NBD client of a stand-in for the kernel (kernel.h), else as a loop device. A file RUN_DIR/fail makes reads and writes fail, RUN_DIR/bytes tells another size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "gateways/attach/keeper.h"
#include "kernel.h"

#define DETACH_MS 3000u
#define THREADS 8u
#define RESERVED_BYTES (UINT64_C(1) << 30)

struct memory {
	uint8_t *bytes;
	struct attach_geometry geometry;
	const char *run_dir;
};

static bool is_there(const struct memory *memory, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", memory->run_dir, name);
	return access(path, F_OK) == 0;
}

static dvs_err memory_enter(void *context, void **thread)
{
	*thread = context;
	return DVS_OK;
}

static void memory_leave(void *thread)
{
	(void)thread;
}

static dvs_err memory_geometry(void *thread, struct attach_geometry *geometry)
{
	struct memory *memory = thread;
	char path[512];
	AUTO_FCLOSE FILE *file = NULL;
	char text[32];

	*geometry = memory->geometry;
	(void)snprintf(path, sizeof(path), "%s/bytes", memory->run_dir);
	file = fopen(path, "re");
	if (file && fgets(text, sizeof(text), file) && strtoull(text, NULL, 10) <= RESERVED_BYTES)
		geometry->bytes = strtoull(text, NULL, 10);
	return DVS_OK;
}

static dvs_err memory_read(void *thread, uint64_t offset, void *room, size_t bytes)
{
	struct memory *memory = thread;

	if (is_there(memory, "fail"))
		return DVS_IO;
	memcpy(room, memory->bytes + offset, bytes);
	return DVS_OK;
}

static dvs_err memory_write(void *thread, uint64_t offset, const void *data, size_t bytes)
{
	struct memory *memory = thread;

	if (is_there(memory, "fail"))
		return DVS_IO;
	memcpy(memory->bytes + offset, data, bytes);
	return DVS_OK;
}

static dvs_err memory_flush(void *thread)
{
	return is_there(thread, "fail") ? DVS_IO : DVS_OK;
}

static dvs_err memory_trim(void *thread, uint64_t offset, uint64_t bytes)
{
	struct memory *memory = thread;

	memset(memory->bytes + offset, 0, bytes);
	return DVS_OK;
}

static dvs_err memory_zero(void *thread, uint64_t offset, uint64_t bytes, bool keep)
{
	(void)keep;
	return memory_trim(thread, offset, bytes);
}

static bool is_zero(const uint8_t *sector)
{
	return !sector[0] && !memcmp(sector, sector + 1, ATTACH_SECTOR_BYTES - 1);
}

static dvs_err memory_extent(void *thread, uint64_t offset, uint64_t *bytes, bool *is_hole)
{
	const struct memory *memory = thread;

	*is_hole = is_zero(memory->bytes + offset);
	*bytes = ATTACH_SECTOR_BYTES;
	while (offset + *bytes < memory->geometry.bytes &&
	       is_zero(memory->bytes + offset + *bytes) == *is_hole)
		*bytes += ATTACH_SECTOR_BYTES;
	return DVS_OK;
}

static dvs_err memory_open(void *context, struct attach_backend *backend,
			   struct attach_geometry *geometry, char why[ATTACH_WHY_MAX])
{
	struct memory *memory = context;

	*backend = (struct attach_backend){
		.context = memory,
		.enter = memory_enter,
		.leave = memory_leave,
		.geometry = memory_geometry,
		.read = memory_read,
		.write = memory_write,
		.flush = memory_flush,
		.trim = memory_trim,
		.zero = memory_zero,
		.extent = memory_extent,
	};
	*geometry = memory->geometry;
	if (is_there(memory, "fail")) {
		(void)snprintf(why, ATTACH_WHY_MAX, "the memory is asked to fail");
		return DVS_IO;
	}
	memory->bytes = mmap(NULL, RESERVED_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory->bytes == MAP_FAILED ? DVS_NOMEM : DVS_OK;
}

static int start(int argc, char **argv)
{
	bool is_nbd = argc > 5 && !strcmp(argv[5], "nbd");
	struct memory memory = {
		.run_dir = argv[2],
		.geometry = { .bytes = strtoull(argv[4], NULL, 10),
			      .is_read_only = argc > (is_nbd ? 6 : 5) },
	};
	const struct nbd_kernel kernel = kernel_stand_in(argv[2]);
	struct attach_source source = { .context = &memory, .open = memory_open };
	struct attach_config config = {
		.run_dir = argv[2],
		.volume = argv[3],
		.n_threads = THREADS,
		.source = &source,
		.nbd = is_nbd ? &kernel : NULL,
		.log = log_to_stderr(LOG_LEVEL_INFO),
	};
	char device[LOOP_DEVICE_MAX];
	char why[ATTACH_WHY_MAX] = "";
	dvs_err err = attach_start(&config, device, why);

	if (err)
		(void)fprintf(stderr, "%s: %s\n", dvs_err_name(err), why);
	else
		(void)printf("%s\n", device);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int list(const char *run_dir)
{
	AUTO_FREE struct attachment *found = NULL;
	char why[ATTACH_WHY_MAX] = "";
	size_t n = 0;

	if (attach_list(run_dir, &found, &n, why))
		return EXIT_FAILURE;
	for (size_t i = 0; i < n; i++)
		(void)printf("%s %s %s %d %d\n", found[i].volume, found[i].device,
			     found[i].is_dead ? "dead" : "attached", (int)found[i].keeper,
			     (int)found[i].server);
	return EXIT_SUCCESS;
}

static int detach(int argc, char **argv)
{
	char why[ATTACH_WHY_MAX] = "";
	dvs_err err = attach_detach(argv[2], argv[3], argc > 4, DETACH_MS, why);

	if (err)
		(void)fprintf(stderr, "%s: %s\n", dvs_err_name(err), why);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && !strcmp(argv[1], "start"))
		return start(argc, argv);
	if (argc == 3 && !strcmp(argv[1], "list"))
		return list(argv[2]);
	if (argc >= 4 && !strcmp(argv[1], "detach"))
		return detach(argc, argv);
	return EXIT_FAILURE;
}
