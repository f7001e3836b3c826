/* SPDX-License-Identifier: Apache-2.0 */
/* The web servers of `dvs bench web`, in the lab of `dvs bench fs` (fs/files.h): the file server is on the first node; the web server and its client are on that one (place local) or on the last (remote). Between client and web
 * server is only the loopback interface. The site is the same everywhere: for each size a directory, with files of that size. */
#ifndef DVS_MANAGE_BENCH_WEB_WEB_H
#define DVS_MANAGE_BENCH_WEB_WEB_H

#include "manage/bench/fs/files.h"

enum {
	WEB_PORT_NGINX = 10830,
	WEB_PORT_NGINX_OPEN = 10831, /* the same, but files stay open */
	WEB_PORT_NWEB = 10840,	     /* of the first store; the others follow */
	WEB_PAGES = 1000, /* files of WEB_PAGE_BYTES; of larger ones there is one of a size */
	WEB_PAGE_BYTES = 4096,
	WEB_CONNECTIONS_MAX = 64,
};

#define WEB_FILE_BYTES_MAX (UINT64_C(100) << 20)
/* On each node with a web server: the site in memory, which nginx-host serves. */
#define WEB_SITE FILES_DIR "/tmpfs"

struct bench_web {
	struct bench_program nginx[FILES_NODES];
	struct bench_program nweb[FILES_NODES][FILES_STORES];
	unsigned sites; /* bit n: the file system on store n has the site */
};

DVS_MUST_USE dvs_err bench_web_open(struct bench_lab *lab, struct bench_fault *fault);
void bench_web_close(struct bench_lab *lab);
/* Make sure that there is a file system on STORE, with the site. */
DVS_MUST_USE dvs_err bench_web_make(struct bench_lab *lab, enum files_store store,
				    struct bench_fault *fault);
/* Make sure that they serve on NODE. BADSTATE: the program is not there. */
DVS_MUST_USE dvs_err bench_web_nginx(struct bench_lab *lab, unsigned node,
				     struct bench_fault *fault);
DVS_MUST_USE dvs_err bench_web_nweb(struct bench_lab *lab, unsigned node, enum files_store store,
				    struct bench_fault *fault);

bool bench_web_fits(const struct bench_system *system, const struct bench_cell *cell);

extern const struct bench_system bench_web_nginx_host;
extern const struct bench_system bench_web_nginx_dvs;
extern const struct bench_system bench_web_nginx_host_open;
extern const struct bench_system bench_web_nginx_dvs_open;
extern const struct bench_system bench_web_nweb_dvs;
extern const struct bench_system bench_web_iperf3;

/* `dvs bench work web ...` and `dvs bench work site DIR`; ARGV[0] is "work". */
int bench_web_work_main(int argc, char **argv);
int bench_site_work_main(int argc, char **argv);

#endif
