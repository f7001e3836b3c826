/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/fs/files.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/remote/net.h"

#define COMMAND(...) .argv = { __VA_ARGS__, NULL }
#define SIZE_TEXT "1G"

enum { TOKEN_BUSY_MS = 3000 };

const char *bench_files_store_name(enum files_store store)
{
	static const char *const names[FILES_STORES] = {
		[FILES_RAM] = "ram",	 [FILES_FILE] = "file",	  [FILES_VDD] = "vdd",
		[FILES_MIRROR] = "vdd2", [FILES_FAR] = "vdd-far",
	};

	return names[store];
}

static dvs_err run_on(const struct bench_lab *lab, unsigned node, const struct bench_command *list,
		      size_t n, struct bench_fault *fault)
{
	struct bench_heard heard;

	return bench_commands_run(
		lab, &(struct bench_commands){ .node = node, .list = list, .n = n }, &heard, fault);
}

dvs_err bench_files_script(const struct bench_lab *lab, unsigned node, const char *script,
			   const char *argument, struct bench_fault *fault)
{
	const struct bench_command command = {
		.path = "sh",
		COMMAND("sh", "-c", script, "sh", argument),
	};

	return run_on(lab, node, &command, 1, fault);
}

/* ---- file systems ---- */

static dvs_err make_volume(const struct bench_lab *lab, enum files_store store,
			   struct bench_fault *fault)
{
	static const char *const nodes[FILES_STORES] = {
		[FILES_VDD] = "0",
		[FILES_MIRROR] = "0,1",
		[FILES_FAR] = "1",
	};
	char name[32];
	const struct bench_command create = {
		.path = BENCH_SELF,
		COMMAND("dvs", "vol", "create", name, "--size", SIZE_TEXT, "--store", "ram",
			"--progress", "none", "--nodes", nodes[store]),
	};

	snprintf(name, sizeof(name), FILES_DC "/%s", bench_files_store_name(store));
	return run_on(lab, FILES_SERVER_NODE, &create, 1, fault);
}

static dvs_err make_fs(const struct bench_lab *lab, enum files_store store, const char *name,
		       struct bench_fault *fault)
{
	const char *store_name = bench_files_store_name(store);
	bool is_volume = store >= FILES_VDD;
	const struct bench_command on_node = {
		.path = BENCH_SELF,
		COMMAND("dvs", "fs", "create", name, "--size", SIZE_TEXT, "--store", store_name),
	};
	const struct bench_command on_volume = {
		.path = BENCH_SELF,
		COMMAND("dvs", "fs", "create", name, "--volume", store_name, "--nodes", "0"),
	};

	return run_on(lab, FILES_SERVER_NODE, is_volume ? &on_volume : &on_node, 1, fault);
}

static dvs_err mount_fs(const struct bench_lab *lab, unsigned node, const char *name,
			const char *dir, struct bench_fault *fault)
{
	const struct bench_command list[] = {
		{ .path = "mkdir", COMMAND("mkdir", "-p", dir) },
		{ .path = BENCH_SELF, COMMAND("dvs", "fs", "mount", name, dir) },
	};

	return run_on(lab, node, list, ARRAY_LEN(list), fault);
}

dvs_err bench_files_make(struct bench_lab *lab, enum files_store store, struct bench_fault *fault)
{
	struct bench_files *files = lab->files;
	char name[32], dir[64];
	dvs_err err = DVS_OK;

	if (files->made >> store & 1)
		return DVS_OK;
	if (files->missing >> store & 1)
		return bench_fail(fault, DVS_IO, "there is no file system on store %s",
				  bench_files_store_name(store));
	snprintf(name, sizeof(name), FILES_DC "/%s", bench_files_store_name(store));
	snprintf(dir, sizeof(dir), FILES_DIR "/%s", bench_files_store_name(store));
	if (store >= FILES_VDD)
		err = make_volume(lab, store, fault);
	if (!err)
		err = make_fs(lab, store, name, fault);
	if (!err)
		err = mount_fs(lab, FILES_SERVER_NODE, name, dir, fault);
	if (!err)
		err = mount_fs(lab, FILES_CLIENT_NODE, name, dir, fault);
	if (err)
		files->missing |= 1u << store;
	else
		files->made |= 1u << store;
	return err;
}

/* ---- trees ---- */

/* A part of the host's documents, with links as they are, and sources: 40 files with 60 functions each and a header for all. On both nodes with clients. */
static const char make_trees[] =
	"set -e; mkdir -p " FILES_DIR "/trees/docs " FILES_DIR "/trees/source; cd " FILES_DIR
	"/trees; for d in $(ls /usr/share/doc | head -n 200); do"
	" cp -a /usr/share/doc/$d docs/; done;"
	" cd source; i=0; while [ $i -lt 400 ]; do echo \"int f$i(int);\"; i=$((i+1));"
	" done >all.h; { printf 'all:'; i=0; while [ $i -lt 40 ]; do"
	" printf ' d%d/f%d.o' $((i/10)) $i; i=$((i+1)); done; echo; } >Makefile; i=0;"
	" while [ $i -lt 40 ]; do mkdir -p d$((i/10)); { echo '#include \"../all.h\"'; j=0;"
	" while [ $j -lt 60 ]; do echo \"static int g$j(int x) { for (int i = 0; i < $j; i++)"
	" x = f$j(x + i); return x; }\"; j=$((j+1)); done; echo \"int h$i(int x) { return\"; j=0;"
	" while [ $j -lt 60 ]; do echo \"g$j(x) +\"; j=$((j+1)); done; echo '0; }'; }"
	" >d$((i/10))/f$i.c; i=$((i+1)); done; cd ..; tar -cf source.tar source";

dvs_err bench_files_trees(struct bench_lab *lab, struct bench_fault *fault)
{
	static const unsigned nodes[] = { FILES_SERVER_NODE, FILES_CLIENT_NODE };
	dvs_err err = DVS_OK;

	if (lab->files->has_trees)
		return DVS_OK;
	for (size_t i = 0; i < ARRAY_LEN(nodes) && !err; i++)
		err = bench_files_script(lab, nodes[i], make_trees, "", fault);
	lab->files->has_trees = !err;
	return err;
}

/* ---- beginning and end ---- */

dvs_err bench_files_open(struct bench_lab *lab, struct bench_fault *fault)
{
	dvs_err err;

	lab->files = calloc(1, sizeof(*lab->files));
	if (!lab->files)
		return bench_fail_errno(fault, "allocate");
	/* Without filters: what stands beside it does not encrypt either. */
	err = bench_net_start(&(struct bench_net_setup){ .n_nodes = FILES_NODES,
							 .token_ms = TOKEN_BUSY_MS },
			      &lab->net, fault);
	if (!err)
		err = bench_net_make_dc(lab->net, fault);
	for (unsigned node = 0; node < FILES_NODES && !err; node++)
		err = bench_files_script(lab, node, "mkdir -p \"$1\"", FILES_DIR, fault);
	return err;
}

void bench_files_close(struct bench_lab *lab)
{
	if (lab->files)
		bench_program_stop(&lab->files->passthrough);
	free(lab->files);
	lab->files = NULL;
	bench_net_stop(lab->net);
	lab->net = NULL;
}
