/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define UNIT_TIMEOUT_S 30

int unit_run(const char *suite_name, const TTest *const *tests, size_t n_tests, double timeout_s)
{
	const char *only = getenv("UNIT_ONLY");
	Suite *suite = suite_create(suite_name);
	SRunner *runner = srunner_create(suite);
	int n_failed;

	/* One case per test: the TAP output then names each. */
	for (size_t i = 0; i < n_tests; i++) {
		TCase *tcase;

		if (only && strcmp(only, tests[i]->name) != 0)
			continue;
		tcase = tcase_create(tests[i]->name);
		tcase_set_timeout(tcase, timeout_s > 0 ? timeout_s : UNIT_TIMEOUT_S);
		tcase_add_test(tcase, tests[i]);
		suite_add_tcase(suite, tcase);
	}
	srunner_set_tap(runner, "-");
	if (getenv("UNIT_NO_FORK"))
		srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
