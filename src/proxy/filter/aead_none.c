/* SPDX-License-Identifier: Apache-2.0 */
/* Where there is no aead_ipsec.c. */
#include "proxy/filter/aead.h"

struct aead_ipsec *aead_ipsec_open(void)
{
	return NULL;
}

void aead_ipsec_close(struct aead_ipsec *library)
{
	(void)library;
}

struct aead *aead_ipsec(const SSL_CIPHER *cipher, bool seals, const struct aead_ipsec *library)
{
	(void)cipher;
	(void)seals;
	(void)library;
	return NULL;
}
