#include "client.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static struct nfs_context *nfs;
static const struct options *options;
static const char *server, *export;
static int watched = -1;
static bool (*nobody_waits)(void);
static bool connected;
static char last_error[512];

// The one call under way. Static, since libnfs may still report on a call that was given up.
enum kind { NOTHING, BYTES, POINTER, TEXT };
static struct { unsigned id; bool done; int status; enum kind kind; void *out; size_t size; } call;

static void on_reply(int status, struct nfs_context *context, void *data, void *id) {
	if ((uintptr_t)id != call.id) return;
	call.done = true;
	call.status = status;
	if (status < 0) {
		snprintf(last_error, sizeof last_error, "%s", data ? (char *)data : strerror(-status));
	} else if (call.kind == BYTES) {
		memcpy(call.out, data, call.size ? call.size : (size_t)status);
	} else if (call.kind == POINTER) {
		*(void **)call.out = data;
	} else if (call.kind == TEXT) {
		snprintf(call.out, call.size, "%s", (char *)data);
	}
}

static void *begin(enum kind kind, void *out, size_t size) {
	call.id++;
	call.done = false;
	call.kind = kind;
	call.out = out;
	call.size = size;
	return (void *)(uintptr_t)call.id;
}

static time_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

// Whether to wait no longer. Ends the process when it is unmounted.
static bool given_up(void) {
	struct pollfd device = {.fd = watched};
	if (watched >= 0 && poll(&device, 1, 0) > 0 && device.revents & POLLERR) _exit(0);
	return nobody_waits && nobody_waits();
}

// Waits for the call that was just sent (rc of the sending): its status, -ETIMEDOUT when the server or the connection is gone, or -EINTR
// when nobody waits for it any more.
static int wait_reply(int rc) {
	time_t deadline = now() + (options->deciseconds + 9) / 10;
	if (rc) {
		snprintf(last_error, sizeof last_error, "%s", nfs_get_error(nfs));
		return -ETIMEDOUT;
	}
	while (!call.done) {
		struct pollfd socket = {.fd = nfs_get_fd(nfs), .events = (short)nfs_which_events(nfs)};
		if (now() >= deadline) {
			snprintf(last_error, sizeof last_error, "Connection timed out");
			return -ETIMEDOUT;
		}
		if (given_up()) return -EINTR;
		if (socket.fd < 0 || poll(&socket, 1, 500) < 0 || nfs_service(nfs, socket.revents) < 0) {
			if (call.done) break;
			snprintf(last_error, sizeof last_error, "%s", nfs_get_error(nfs));
			return -ETIMEDOUT;
		}
	}
	// libnfs's own words for a lost connection and for a call that it ended
	return call.status == -EFAULT || call.status == -EINTR ? -ETIMEDOUT : call.status;
}

static int connect_once(void) {
	char url[128];
	struct nfs_url *parsed;
	call.id++; // what the old connection still reports is nobody's
	connected = false;
	if (nfs) nfs_destroy_context(nfs);
	if (!(nfs = nfs_init_context())) return -ENOMEM;
	int used = snprintf(url, sizeof url, "nfs://server/?version=3&auto-traverse-mounts=0");
	if (options->port) used += snprintf(url + used, sizeof url - used, "&nfsport=%d", options->port);
	if (options->mount_port) snprintf(url + used, sizeof url - used, "&mountport=%d", options->mount_port);
	if ((parsed = nfs_parse_url_dir(nfs, url))) nfs_destroy_url(parsed);
	nfs_set_autoreconnect(nfs, 0);
	int rc = wait_reply(nfs_mount_async(nfs, server, export, on_reply, begin(NOTHING, NULL, 0)));
	connected = rc >= 0;
	return rc == -EIO ? -ETIMEDOUT : rc;
}

int client_mount(const char *server_name, const char *path, const struct options *mount_options) {
	server = server_name;
	export = path;
	options = mount_options;
	return connect_once();
}

const char *client_error(void) { return last_error; }
void client_watch(int descriptor, bool (*check)(void)) {
	watched = descriptor;
	nobody_waits = check;
}

// After a try: whether to try again. A server that does not answer is asked for ever (hard) or `retrans` times more (soft).
struct tries { int count; bool fresh; time_t began; };

static bool again(struct tries *tries, int *rc) {
	bool lost = *rc == -ETIMEDOUT || *rc == -EIO;
	// a new connection and the same answer at once: the server means it
	if (!lost || (*rc == -EIO && tries->fresh)) return false;
	do {
		if (given_up()) {
			*rc = -EINTR;
			return false;
		}
		if (options->soft && tries->count >= options->retransmissions) {
			syslog(LOG_ERR, "server %s not responding, timed out", server);
			*rc = -EIO;
			return false;
		}
		if (tries->count++ == 0) syslog(LOG_WARNING, "server %s not responding, %s", server, options->soft ? "trying again" : "still trying");
		time_t started = now();
		*rc = connect_once();
		if (*rc < 0 && now() == started) sleep(1); // refused at once
	} while (*rc < 0);
	syslog(LOG_NOTICE, "server %s OK", server);
	tries->fresh = true;
	return true;
}

#define CALL(result, kind, out, size, function, ...) \
	do { \
		struct tries tries = {0}; \
		do result = connected ? wait_reply(function(nfs, __VA_ARGS__, on_reply, begin(kind, out, size))) : -ETIMEDOUT; \
		while (again(&tries, &result)); \
	} while (0)

int client_stat(const char *path, struct nfs_stat_64 *out) {
	int rc;
	CALL(rc, BYTES, out, sizeof *out, nfs_lstat64_async, path);
	return rc;
}

int client_open(const char *path, struct nfsfh **out) {
	int rc;
	CALL(rc, POINTER, out, 0, nfs_open_async, path, O_RDONLY);
	return rc;
}

// A handle of NFSv3 holds no state of a connection, so that it stays good on the next one.
int client_read(struct nfsfh *file, uint64_t offset, size_t count, char *out) {
	int rc;
	CALL(rc, BYTES, out, 0, nfs_pread_async, file, offset, count);
	return rc;
}

int client_close(struct nfsfh *file) { return wait_reply(nfs_close_async(nfs, file, on_reply, begin(NOTHING, NULL, 0))); }

int client_open_directory(const char *path, struct nfsdir **out) {
	int rc;
	CALL(rc, POINTER, out, 0, nfs_opendir_async, path);
	return rc;
}

struct nfsdirent *client_next(struct nfsdir *directory) { return nfs_readdir(nfs, directory); }
void client_close_directory(struct nfsdir *directory) { nfs_closedir(nfs, directory); }

int client_read_link(const char *path, char *out, size_t size) {
	int rc;
	CALL(rc, TEXT, out, size, nfs_readlink_async, path);
	return rc;
}

int client_statvfs(const char *path, struct statvfs *out) {
	int rc;
	CALL(rc, BYTES, out, sizeof *out, nfs_statvfs_async, path);
	return rc;
}
