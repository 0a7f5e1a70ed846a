/* SPDX-License-Identifier: MIT */
/* Parser and help of base/settings.def. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/settings.h"
#include "mem/mem.h"

struct word {
	const char *name;
	u32 value;
};

static const struct word models[] = {
	{ "coherent", MEM_COHERENT },
	{ "flush", MEM_FLUSH },
	{ "emulated", MEM_EMULATED },
	{ NULL, 0 },
};
static const struct word placements[] = {
	{ "round-robin", PLACE_ROUND_ROBIN },
	{ "random", PLACE_RANDOM },
	{ "local", PLACE_LOCAL },
	{ "load", PLACE_LOAD },
	{ NULL, 0 },
};
static const struct word kernels[] = {
	{ "shared", KERNELS_SHARED },
	{ "separate", KERNELS_SEPARATE },
	{ NULL, 0 },
};
static const struct word techniques[] = {
	{ "distribution", WITHOUT_DISTRIBUTION },
	{ "broadcast", WITHOUT_BROADCAST },
	{ "direct-access", WITHOUT_DIRECT_ACCESS },
	{ "directory-cache", WITHOUT_DIRECTORY_CACHE },
	{ "creation-affinity", WITHOUT_CREATION_AFFINITY },
	{ "coalescing", WITHOUT_COALESCING },
	{ "local-calls", WITHOUT_LOCAL_CALLS },
	{ NULL, 0 },
};

void settings_init(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	s->memory = 2ULL << 30;
	s->at = "/hare";
}

static bool number(const char *v, u64 *out)
{
	char *end;

	errno = 0;
	*out = strtoull(v, &end, 10);
	return *v >= '0' && *v <= '9' && !*end && !errno;
}

static bool size(const char *v, u64 *out)
{
	static const char units[] = "KMGT";
	char *end;
	u64 n;

	errno = 0;
	n = strtoull(v, &end, 10);
	if (*v < '0' || *v > '9' || errno)
		return false;
	if (*end) {
		const char *u = strchr(units, *end >= 'a' ? *end - 32 : *end);
		u32 shift = u && *u ? 10 * (u32)(u - units + 1) : 0;

		if (!shift || end[1] || n > ~0ULL >> shift)
			return false;
		n <<= shift;
	}
	*out = n;
	return true;
}

static bool word(const struct word *w, const char *v, u32 *out)
{
	for (; w->name; w++) {
		if (!strcmp(w->name, v)) {
			*out = w->value;
			return true;
		}
	}
	return false;
}

static bool set_COUNT(u32 *f, const char *v)
{
	u64 n;

	if (!number(v, &n) || !n || n > MAX_CORES)
		return false;
	*f = (u32)n;
	return true;
}

static bool set_SIZE(u64 *f, const char *v)
{
	return size(v, f) && *f;
}

static bool set_SEED(u64 *f, const char *v)
{
	return number(v, f);
}

static bool set_TEXT(const char **f, const char *v)
{
	*f = v;
	return *v;
}

static bool set_LIST(struct setting_list *f, const char *v)
{
	if (!*v || f->count == SETTINGS_LIST_MAX)
		return false;
	f->item[f->count++] = v;
	return true;
}

static bool set_MODEL(u32 *f, const char *v)
{
	return word(models, v, f);
}

static bool set_PLACEMENT(u32 *f, const char *v)
{
	return word(placements, v, f);
}

static bool set_KERNELS(u32 *f, const char *v)
{
	return word(kernels, v, f);
}

static bool set_WITHOUT(u32 *f, const char *v)
{
	u32 bit;

	if (!word(techniques, v, &bit))
		return false;
	*f |= bit;
	return true;
}

static int wrong(const char *name, const char *arg, const char *v)
{
	fprintf(stderr, "hare: --%s cannot be '%s': give it %s\n", name, v, arg);
	return -1;
}

int settings_parse(struct settings *s, int argc, char **argv, int *i)
{
	const char *opt = argv[*i] + 2, *v = strchr(opt, '=');
	size_t len = v ? (size_t)(v - opt) : strlen(opt);

#define SETTING(field, name, type, arg, dflt, help)                                      \
	if (len == strlen(name) && !strncmp(opt, name, len)) {                           \
		if (!v && *i + 1 >= argc) {                                              \
			fprintf(stderr, "hare: --%s wants a value: %s\n", name, arg);    \
			return -1;                                                       \
		}                                                                        \
		v = v ? v + 1 : argv[++*i];                                              \
		return set_##type(&s->field, v) ? 1 : wrong(name, arg, v);               \
	}
#include "base/settings.def"
#undef SETTING
	return 0;
}

/* Text from column 8 on, in lines of up to 90 columns. */
static void print_text(FILE *f, const char *text)
{
	size_t column = 90;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column + n + 1 > 88) {
			fprintf(f, "%s\t%.*s", column == 90 ? "" : "\n", (int)n, text);
			column = 8 + n;
		} else {
			fprintf(f, " %.*s", (int)n, text);
			column += n + 1;
		}
		text += n + (text[n] == ' ');
	}
	fputc('\n', f);
}

void settings_print(FILE *f)
{
#define SETTING(field, name, type, arg, dflt, help)                                      \
	fprintf(f, "  --%s %s (default: %s)\n", name, arg, dflt);                        \
	print_text(f, help);
#include "base/settings.def"
#undef SETTING
}
