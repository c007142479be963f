#include "options.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static const struct { const char *name; unsigned long set, clear; } flags[] = {
	{"ro", MS_RDONLY, 0}, {"nosuid", MS_NOSUID, 0}, {"suid", 0, MS_NOSUID}, {"nodev", MS_NODEV, 0}, {"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0}, {"exec", 0, MS_NOEXEC}, {"noatime", MS_NOATIME, 0}, {"nodiratime", MS_NODIRATIME, 0},
	{"sync", MS_SYNCHRONOUS, 0}, {"dirsync", MS_DIRSYNC, 0},
};

// What mount(8) and systemd keep for themselves, and what is so here anyway.
static const char *const settled[] = {
	"defaults", "rw", "hard", "cto", "ac", "fg", "lock", "resvport", "sharecache", "async", "atime", "relatime", "norelatime", "strictatime",
	"tcp", "_netdev", "nofail", "auto", "noauto", "user", "users", "nouser", "owner", "group", "intr", "nointr", "mountvers=3",
	"mountproto=tcp", "proto=tcp", "sec=sys", "nfsvers=3", "vers=3", "v3", NULL,
};

// Accepted, since a site's options hold them, without effect. "name=" takes a value.
static const char *const powerless[] = {
	"vers=4", "vers=4.0", "vers=4.1", "vers=4.2", "nfsvers=4", "nfsvers=4.0", "nfsvers=4.1", "nfsvers=4.2", "v4", "v4.0", "v4.1", "v4.2",
	"minorversion=", "nconnect=", "max_connect=", "wsize=", "nolock", "local_lock=", "noresvport", "nosharecache", "rdirplus", "nordirplus",
	"lookupcache=", "acl", "noacl", "acregmin=", "acregmax=", "acdirmin=", "acdirmax=", "clientaddr=", "bg", NULL,
};

// Refused by name, with the reason; everything else that is unknown is refused as unknown.
static const struct { const char *name, *reason; } refused[] = {
	{"sec=", "only sec=sys is supported"}, {"proto=", "only proto=tcp is supported"}, {"udp", "only proto=tcp is supported"},
	{"rdma", "only proto=tcp is supported"}, {"vers=", "no such NFS version"}, {"nfsvers=", "no such NFS version"},
	{"mountproto=", "only mountproto=tcp is supported"}, {"mountvers=", "only mountvers=3 is supported"},
};

static bool matches(const char *option, const char *name) {
	size_t length = strlen(name);
	return name[length - 1] == '=' ? !strncmp(option, name, length) : !strcmp(option, name);
}

static bool listed(const char *option, const char *const *names) {
	for (; *names; names++)
		if (matches(option, *names)) return true;
	return false;
}

static void append(char *list, size_t size, const char *word) {
	size_t used = strlen(list);
	snprintf(list + used, size - used, "%s%s", used ? "," : "", word);
}

// 0: not an option with a number; 1: taken; -1: the value is no number or out of bounds.
static int number(const char *option, struct options *out) {
	const struct { const char *name; int least, most, *field; } numbers[] = {
		{"timeo=", 1, 6000, &out->deciseconds}, {"retrans=", 0, 1000, &out->retransmissions}, {"retry=", 0, 10000, &out->retry},
		{"rsize=", 1024, 1 << 20, &out->read_size}, {"actimeo=", 0, 3600, &out->attribute_seconds},
		{"port=", 0, 65535, &out->port}, {"mountport=", 0, 65535, &out->mount_port},
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (!matches(option, numbers[i].name)) continue;
		char *end, *digits = strchr(option, '=') + 1;
		long value = strtol(digits, &end, 10);
		if (*end || end == digits || value < numbers[i].least || value > numbers[i].most) return -1;
		*numbers[i].field = (int)value;
		return 1;
	}
	return 0;
}

static bool flag(const char *option, struct options *out) {
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (!strcmp(option, flags[i].name)) {
			out->flags = (out->flags | flags[i].set) & ~flags[i].clear;
			append(out->kernel, sizeof out->kernel, option);
			return true;
		}
	return false;
}

static bool parse(const char *option, struct options *out, char *error, int size) {
	int rc;
	if (!strcmp(option, "rw")) out->read_only = false;
	if (!strcmp(option, "ro")) out->read_only = true;
	if (!strcmp(option, "hard")) out->soft = false;
	if (flag(option, out) || listed(option, settled) || !strncasecmp(option, "x-", 2)) return true;
	if ((rc = number(option, out))) {
		if (rc < 0) snprintf(error, size, "%s: the value is no number or out of bounds", option);
		return rc > 0;
	}
	if (!strcmp(option, "soft") || !strcmp(option, "softerr")) return out->soft = true;
	if (!strcmp(option, "nocto")) return out->keep_cache = true;
	if (!strcmp(option, "remount")) return out->remount = true;
	if (!strcmp(option, "noac")) {
		out->attribute_seconds = 0;
		return true;
	}
	if (listed(option, powerless)) {
		append(out->without_effect, sizeof out->without_effect, option);
		return true;
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (matches(option, refused[i].name)) {
			snprintf(error, size, "%s: %s", option, refused[i].reason);
			return false;
		}
	snprintf(error, size, "%s: no such mount option", option);
	return out->sloppy;
}

bool parse_options(const char *list, struct options *out, char *error, int error_size) {
	bool sloppy = out->sloppy, good = true;
	char *copy = strdup(list), *rest = copy, *option;
	*out = (struct options){.sloppy = sloppy, .deciseconds = 600, .retransmissions = 2, .retry = 2, .read_size = 1 << 20, .attribute_seconds = 3};
	while (good && (option = strsep(&rest, ",")))
		if (*option) good = parse(option, out, error, error_size);
	free(copy);
	return good;
}
