/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "unit.h"

static const struct {
	dvs_err err;
	const char *name;
	const char *text;
} listed[] = {
#define X(name, number, text, hint, errno_value) { DVS_##name, #name, text },
#include <dvs/errors.def>
#undef X
};

enum { N_LISTED = sizeof(listed) / sizeof(listed[0]) };

TEST(every_error_has_its_name_and_text)
{
	for (size_t i = 0; i < N_LISTED; i++) {
		ck_assert_str_eq(dvs_err_name(listed[i].err), listed[i].name);
		ck_assert_str_eq(dvs_strerror(listed[i].err), listed[i].text);
		ck_assert_ptr_nonnull(dvs_err_hint(listed[i].err));
	}
}

TEST(names_and_numbers_are_unique_and_texts_are_no_sentences)
{
	for (size_t i = 0; i < N_LISTED; i++) {
		size_t len = strlen(listed[i].text);

		ck_assert_uint_gt(len, 0);
		ck_assert_int_ne(listed[i].text[len - 1], '.');
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne((unsigned int)listed[i].err, (unsigned int)listed[j].err);
	}
}

TEST(only_success_has_no_errno)
{
	ck_assert_int_eq(dvs_err_errno(DVS_OK), 0);
	for (size_t i = 0; i < N_LISTED; i++) {
		if (listed[i].err != DVS_OK)
			ck_assert_int_gt(dvs_err_errno(listed[i].err), 0);
	}
}

TEST(a_number_off_the_wire_is_an_error_or_malformed)
{
	ck_assert_int_eq(dvs_err_from_number(0), DVS_OK);
	ck_assert_int_eq(dvs_err_from_number(DVS_TIMEOUT), DVS_TIMEOUT);
	ck_assert_int_eq(dvs_err_from_number(0xffffffff), DVS_PROTO);
}

TEST(an_errno_never_becomes_success)
{
	for (int errno_value = 0; errno_value < 200; errno_value++)
		ck_assert_int_ne(dvs_from_errno(errno_value), DVS_OK);
	ck_assert_int_eq(dvs_from_errno(ENOMEM), DVS_NOMEM);
	ck_assert_int_eq(dvs_from_errno(EACCES), DVS_DENIED);
	ck_assert_int_eq(dvs_from_errno(EXDEV), DVS_IO);
}

UNIT_MAIN("base-err", every_error_has_its_name_and_text,
	  names_and_numbers_are_unique_and_texts_are_no_sentences, only_success_has_no_errno,
	  a_number_off_the_wire_is_an_error_or_malformed, an_errno_never_becomes_success)
