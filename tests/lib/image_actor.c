/* SPDX-License-Identifier: Apache-2.0 */
/* The store of images and the files of containers from the command line, for tests in Python. Prints one line of JSON; exits with the dvs_err. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "container/container.h"
#include "container/image.h"

static char why[DESCRIPTION_TEXT_MAX];

/* ACTOR_STOP: nothing may go on after so many looks. */
static bool progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
	const char *stop = getenv("ACTOR_STOP");
	unsigned *looks = context;

	if (getenv("ACTOR_PROGRESS"))
		fprintf(stderr, "%s %" PRIu64 " %" PRIu64 "\n", phase, done, total);
	return !stop || ++*looks <= (unsigned)atoi(stop);
}

static int answer(dvs_err err, const struct image *image)
{
	json_t *out = json_pack("{s:s}", "error", dvs_err_name(err));

	if (err != DVS_OK)
		json_object_set_new(out, "why", json_string(why));
	else if (image)
		json_object_update_new(out, json_pack("{s:s, s:s, s:I, s:I, s:I}", "name",
						      image->name, "digest", image->digest, "bytes",
						      (json_int_t)image->bytes, "files",
						      (json_int_t)image->files, "imported_ns",
						      (json_int_t)image->imported_ns));
	puts(json_dumps(out, 0));
	return err == DVS_OK ? 0 : 1;
}

static bool in_use(void *context, const char *digest)
{
	(void)digest;
	return context != NULL;
}

static int images(char **argv, int argc)
{
	const char *verb = argv[1], *lib = argv[2];
	struct image image = { 0 };
	unsigned looks = 0;

	if (strcmp(verb, "open") == 0) {
		image_store_open(lib);
		return answer(DVS_OK, NULL);
	}
	if (strcmp(verb, "import") == 0)
		return answer(image_import(lib, argv[3], argv[4], argc > 5 ? argv[5] : "", progress,
					   &looks, &image, why),
			      &image);
	if (strcmp(verb, "send") == 0)
		return image_send(lib, argv[3], STDOUT_FILENO, why) == DVS_OK ?
			       0 :
			       (fprintf(stderr, "%s\n", why), 1);
	if (strcmp(verb, "receive") == 0)
		return answer(image_receive(lib, argv[3], argv[4], STDIN_FILENO, 0, progress,
					    &looks, &image, why),
			      &image);
	if (strcmp(verb, "find") == 0)
		return answer(image_find(lib, argv[3], &image), &image);
	if (strcmp(verb, "next") == 0)
		return answer(image_next(lib, argv[3], &image), &image);
	if (strcmp(verb, "remove") == 0)
		return answer(image_remove(lib, argv[3], in_use, argc > 4 ? argv[4] : NULL), NULL);
	if (strcmp(verb, "config") == 0) {
		json_t *config = NULL;
		dvs_err err = image_config(lib, argv[3], &config);

		puts(config ? json_dumps(config, JSON_SORT_KEYS) : dvs_err_name(err));
		return err == DVS_OK ? 0 : 1;
	}
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	return images(argv, argc);
}
