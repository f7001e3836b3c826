/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target once over each file it is given, and over each file in the directories
 * it is given: what libFuzzer does with -runs=0, for builds without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { INPUT_BYTES_MAX = 1 << 20 };

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	size_t len;

	if (!file) {
		perror(path);
		return -1;
	}
	data = malloc(INPUT_BYTES_MAX);
	if (!data) {
		(void)fclose(file);
		return -1;
	}
	len = fread(data, 1, INPUT_BYTES_MAX, file);
	(void)fclose(file);
	/* A copy of just the right size lets the address sanitizer see each byte beyond. */
	data = realloc(data, len + 1);
	if (!data)
		return -1;
	(void)LLVMFuzzerTestOneInput(data, len);
	free(data);
	return 1;
}

/* How many files were run; -1 when one could not be read. */
static int replay_directory(const char *path, DIR *dir)
{
	const struct dirent *entry;
	int n_files = 0;

	while ((entry = readdir(dir)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (replay_file(name) < 0)
			return -1;
		n_files++;
	}
	return n_files;
}

int main(int argc, char **argv)
{
	int n_files = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		int n = dir ? replay_directory(argv[i], dir) : replay_file(argv[i]);

		if (dir)
			closedir(dir);
		if (n < 0)
			return EXIT_FAILURE;
		n_files += n;
	}
	printf("%d inputs replayed\n", n_files);
	return n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
