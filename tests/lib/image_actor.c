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

/* Prints OBJECT, and frees it. */
static void print(json_t *object)
{
	char *text = json_dumps(object, JSON_SORT_KEYS);

	puts(text ? text : "null");
	free(text);
	json_decref(object);
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
	print(out);
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
	if (strcmp(verb, "send") == 0) {
		if (image_send(lib, argv[3], STDOUT_FILENO, why) == DVS_OK)
			return 0;
		fprintf(stderr, "%s\n", why);
		return 1;
	}
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

		print(config ? config : json_string(dvs_err_name(err)));
		return err == DVS_OK ? 0 : 1;
	}
	return 2;
}

/* ---- files of a container ---- */

/* Wait for the child; what it complained of is in the pipe. */
static int end_child(dvs_err err, pid_t child, int why_out)
{
	int status = 0;
	ssize_t got;

	if (err != DVS_OK)
		return answer(err, NULL);
	if (waitpid(child, &status, 0) != child)
		return 2;
	got = read(why_out, why, sizeof(why) - 1);
	why[got > 0 ? got : 0] = '\0';
	fprintf(stderr, "%s\n%s\n",
		WIFEXITED(status) ? dvs_err_name((dvs_err)WEXITSTATUS(status)) : "KILLED", why);
	return status != 0;
}

static int copies(const char *verb, pid_t init, char **argv)
{
	int whys[2];
	pid_t child = 0;
	dvs_err err;

	if (pipe(whys) != 0)
		return 2;
	if (strcmp(verb, "pack") == 0)
		err = container_pack(init, argv[0], STDOUT_FILENO, whys[1], &child);
	else
		err = container_unpack(init, argv[0], strcmp(argv[1], "into") == 0,
				       (uint32_t)strtoul(argv[2], NULL, 10),
				       (uint32_t)strtoul(argv[3], NULL, 10), STDIN_FILENO, whys[1],
				       &child);
	close(whys[1]);
	return end_child(err, child, whys[0]);
}

static int questions(const char *verb, pid_t init, const char *what)
{
	uint32_t uid = 0, gid = 0, groups[32], n_groups = 0;
	uint64_t bytes = 0, entries = 0;
	bool directory = false;
	char home[256] = "";
	json_t *out, *list;
	dvs_err err;

	if (strcmp(verb, "measure") == 0) {
		err = container_measure(init, what, &bytes, &entries, &directory, why);
		out = json_pack("{s:I, s:I, s:b}", "bytes", (json_int_t)bytes, "entries",
				(json_int_t)entries, "directory", directory);
	} else {
		err = container_user(init, what, &uid, &gid, groups, &n_groups, home, sizeof(home),
				     why);
		list = json_array();
		for (uint32_t i = 0; i < n_groups; i++)
			json_array_append_new(list, json_integer(groups[i]));
		out = json_pack("{s:I, s:I, s:o, s:s}", "uid", (json_int_t)uid, "gid",
				(json_int_t)gid, "groups", list, "home", home);
	}
	if (err != DVS_OK) {
		json_decref(out);
		return answer(err, NULL);
	}
	print(out);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	(void)signal(SIGPIPE, SIG_IGN);
	if ((argc == 4 && strcmp(argv[1], "pack") == 0) ||
	    (argc == 7 && strcmp(argv[1], "unpack") == 0))
		return copies(argv[1], atoi(argv[2]), argv + 3);
	if (argc == 4 && (strcmp(argv[1], "measure") == 0 || strcmp(argv[1], "user") == 0))
		return questions(argv[1], atoi(argv[2]), argv[3]);
	return images(argv, argc);
}
