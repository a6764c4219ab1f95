/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes, made into a letter, must give a letter that a reader accepts and that cannot be misread.
 * Run by libFuzzer; by its own main (-DSTANDALONE) with made-up input; and by tests/pam, which decodes what it writes.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "letter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t letter_from_bytes(const char *data, size_t size, char *text, size_t room);

static const char *next_value(const char *value, const char *end)
{
	size_t left = (size_t)(end - value);
	size_t length = strnlen(value, left);

	return length < left ? value + length + 1 : end;
}

/* The values stand in the order user, tty, host, service, session, each ended by a NUL; data[size] must be NUL. */
static struct letter make_letter(const char *data, size_t size)
{
	struct letter letter = {.time = 1795242031123456, .opened = 1795241024000017, .pid = 4711, .start = 8812345};
	const char *end = data + size;

	letter.kind = (enum letter_kind)(size % 3);
	letter_set(letter.key, sizeof letter.key, "6b0c7a1d2e5f40918a7b6c5d4e3f2a1b");
	letter_set(letter.user, sizeof letter.user, data);
	letter_set(letter.tty, sizeof letter.tty, data = next_value(data, end));
	letter_set(letter.host, sizeof letter.host, data = next_value(data, end));
	letter_set(letter.service, sizeof letter.service, data = next_value(data, end));
	letter_set(letter.session, sizeof letter.session, next_value(data, end));
	return letter;
}

size_t letter_from_bytes(const char *data, size_t size, char *text, size_t room)
{
	struct letter letter = make_letter(data, size);

	return letter_encode(&letter, text, room);
}

static void check_text(const char *text, size_t length)
{
	size_t lines = 0;

	assert(length > 0 && length < LETTER_TEXT && strlen(text) == length);
	assert(memcmp(text, "wtmpdb 1 ", 9) == 0 && memcmp(text + length - 5, "\nend\n", 5) == 0);
	for (size_t i = 0; i < length; i++) {
		lines += text[i] == '\n';
		assert(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	}
	assert(lines >= 7 && lines <= 12);
}

/* Cut only what is too long, and by three bytes at most beyond what the bound asks. */
static void check_cut(const char *value, size_t bound, const char *from)
{
	size_t length = strlen(value);
	size_t whole = strlen(from);

	assert(memcmp(value, from, length) == 0);
	if (whole < bound)
		assert(length == whole);
	else
		assert(length < bound && length + 4 >= bound);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *input = calloc(1, size + 1);
	char text[LETTER_TEXT];

	assert(input != NULL);
	if (size > 0)
		memcpy(input, data, size);

	struct letter letter = make_letter(input, size);
	size_t length = letter_encode(&letter, text, sizeof text);

	check_text(text, length);
	check_cut(letter.user, sizeof letter.user, input);

	/* In a room of exactly its size it fits, in one that is smaller it is refused and nothing is overrun. */
	for (size_t room = length - 2; room <= length + 1; room++) {
		char *small = malloc(room);

		assert(small != NULL && letter_encode(&letter, small, room) == (room > length ? length : 0));
		free(small);
	}
	free(input);
	return 0;
}

#ifdef STANDALONE
int main(void)
{
	/* Letters, separators, the parts of UTF-8, and much else, often longer than the bounds. */
	static const uint8_t likely[] = {'a',  0,    '\n', '\\', ' ',  0x7F, 0x1B, 0xC3,
	                                 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80};
	uint8_t data[2048];
	uint32_t random = 1;

	for (int round = 0; round < 20000; round++) {
		size_t size = (size_t)round % sizeof data;
		uint32_t variety = (uint32_t)round % 16 + 1;

		for (size_t i = 0; i < size; i++) {
			random = random * 1664525 + 1013904223;
			data[i] = random >> 31 ? 'a' : random >> 30 ? (uint8_t)(random >> 16) : likely[(random >> 20) % variety];
		}
		LLVMFuzzerTestOneInput(data, size);
	}
	return 0;
}
#endif
