/* SPDX-License-Identifier: Apache-2.0 */
/* The site, and who serves it. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/web/web.h"

enum { READY_MS = 60000 };

static const char nginx_dir[] = FILES_DIR "/nginx";
static const char site_dir[] = WEB_SITE;

/* ---- the site ---- */

static dvs_err run_on(const struct bench_lab *lab, unsigned node,
		      const struct bench_command *command, struct bench_fault *fault)
{
	struct bench_heard heard;

	return bench_commands_run(lab,
				  &(struct bench_commands){ .node = node, .list = command, .n = 1 },
				  &heard, fault);
}

dvs_err bench_web_make(struct bench_lab *lab, enum files_store store, struct bench_fault *fault)
{
	struct bench_web *web = lab->web;
	char name[32];
	const struct bench_command import = {
		.path = BENCH_SELF,
		.argv = { "dvs", "fs", "import", name, site_dir, NULL },
	};
	dvs_err err = bench_files_make(lab, store, fault);

	if (err || (web->sites >> store & 1))
		return err;
	snprintf(name, sizeof(name), FILES_DC "/%s", bench_files_store_name(store));
	err = run_on(lab, FILES_SERVER_NODE, &import, fault);
	web->sites |= err ? 0 : 1u << store;
	return err;
}

/* ---- nginx ---- */

/* As Debian's, but for what a node of the lab does not have, and for connections that stay. $1: a directory of its own, $2: what is served, $3 and $4: ports. */
static const char start_nginx[] =
	"mkdir -p \"$1\" && cat >\"$1\"/nginx.conf <<END && exec nginx -c \"$1\"/nginx.conf\n"
	"daemon off;\n"
	"user root;\n"
	"worker_processes 1;\n"
	"pid $1/nginx.pid;\n"
	"error_log stderr;\n"
	"events {}\n"
	"http {\n"
	"	access_log off;\n"
	"	sendfile on;\n"
	"	tcp_nopush on;\n"
	"	keepalive_requests 100000000;\n"
	"	client_body_temp_path $1/body;\n"
	"	proxy_temp_path $1/proxy;\n"
	"	fastcgi_temp_path $1/fastcgi;\n"
	"	uwsgi_temp_path $1/uwsgi;\n"
	"	scgi_temp_path $1/scgi;\n"
	"	root $2;\n"
	"	server {\n"
	"		listen 127.0.0.1:$3;\n"
	"	}\n"
	"	server {\n"
	"		listen 127.0.0.1:$4;\n"
	"		open_file_cache max=2000;\n"
	"	}\n"
	"}\n"
	"END\n";

static dvs_err await_nginx(const struct bench_lab *lab, unsigned node, struct bench_fault *fault)
{
	static const char script[] =
		"n=0; until [ -s \"$1\"/nginx.pid ]; do n=$((n+1)); [ $n -lt 600 ] || {"
		" echo nginx does not begin >&2; exit 1; }; sleep 0.1; done";

	return bench_files_script(lab, node, script, nginx_dir, fault);
}

dvs_err bench_web_nginx(struct bench_lab *lab, unsigned node, struct bench_fault *fault)
{
	char ports[2][8];
	const char *argv[] = { "sh",	  "-c",	    start_nginx, "sh", nginx_dir,
			       FILES_DIR, ports[0], ports[1],	 NULL };
	struct bench_program *nginx = &lab->web->nginx[node];
	dvs_err err;

	if (nginx->pid > 0)
		return DVS_OK;
	if (bench_files_script(lab, node, "command -v \"$1\" >/dev/null", "nginx", fault))
		return bench_fail(fault, DVS_BADSTATE,
				  "the program nginx is not there: install it");
	snprintf(ports[0], sizeof(ports[0]), "%d", WEB_PORT_NGINX);
	snprintf(ports[1], sizeof(ports[1]), "%d", WEB_PORT_NGINX_OPEN);
	err = bench_program_start(lab, (enum bench_side)node, argv, nginx, fault);
	return err ? err : await_nginx(lab, node, fault);
}

/* ---- nweb ---- */

/* Beside this program, where it is built or installed. */
static void find_nweb(char program[PATH_MAX])
{
	static const char *const places[] = { "nweb", "apps/nweb/nweb" };
	ssize_t len = readlink(BENCH_SELF, program, PATH_MAX - 32);
	char *end;

	program[len > 0 ? len : 0] = '\0';
	end = strrchr(program, '/');
	for (size_t i = 0; end && i < ARRAY_LEN(places); i++) {
		strcpy(end + 1, places[i]);
		if (access(program, X_OK) == 0)
			return;
	}
	strcpy(program, "nweb");
}

dvs_err bench_web_nweb(struct bench_lab *lab, unsigned node, enum files_store store,
		       struct bench_fault *fault)
{
	struct bench_program *nweb = &lab->web->nweb[node][store];
	char program[PATH_MAX], address[32], said[240];
	const char *argv[] = {
		program,    "--dc",  FILES_DC,	  "--fs", bench_files_store_name(store),
		"--listen", address, "--threads", "1",	  NULL
	};
	dvs_err err;

	if (nweb->pid > 0)
		return DVS_OK;
	find_nweb(program);
	snprintf(address, sizeof(address), "127.0.0.1:%d", WEB_PORT_NWEB + (int)store);
	err = bench_program_start(lab, (enum bench_side)node, argv, nweb, fault);
	if (!err)
		err = bench_program_read(lab, nweb, "serves on", said, sizeof(said), READY_MS,
					 fault);
	if (err)
		bench_program_stop(nweb);
	return err;
}

/* ---- beginning and end ---- */

dvs_err bench_web_open(struct bench_lab *lab, struct bench_fault *fault)
{
	static const unsigned nodes[] = { FILES_SERVER_NODE, FILES_CLIENT_NODE };
	static const struct bench_command site = {
		.path = BENCH_SELF,
		.argv = { "dvs", "bench", "work", "site", site_dir, NULL },
	};
	dvs_err err;

	lab->web = calloc(1, sizeof(*lab->web));
	if (!lab->web)
		return bench_fail_errno(fault, "allocate");
	err = bench_files_open(lab, fault);
	for (size_t i = 0; i < ARRAY_LEN(nodes) && !err; i++) {
		err = bench_files_script(lab, nodes[i], "mkdir -p \"$1\"", site_dir, fault);
		if (!err)
			err = run_on(lab, nodes[i], &site, fault);
	}
	return err;
}

void bench_web_close(struct bench_lab *lab)
{
	for (unsigned node = 0; lab->web && node < FILES_NODES; node++) {
		bench_program_stop(&lab->web->nginx[node]);
		for (unsigned store = 0; store < FILES_STORES; store++)
			bench_program_stop(&lab->web->nweb[node][store]);
	}
	free(lab->web);
	lab->web = NULL;
	bench_files_close(lab);
}
