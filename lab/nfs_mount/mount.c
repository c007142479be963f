// mount.nfs for a kernel without an NFS client: a read-only FUSE file system, NFSv3 on the wire. README.md says what it does not do.
//   mount.nfs SERVER:/PATH DIRECTORY [-sfnv] [-o OPTIONS]          exit codes as mount(8): 0, 1 usage, 32 failed
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <fuse3/fuse_lowlevel.h>
#include <netdb.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include "client.h"

enum { USAGE = 1, FAILED = 32 };
static struct options options;

static struct nfsfh *handle(struct fuse_file_info *fi) { return (struct nfsfh *)(uintptr_t)fi->fh; }

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *fi) {
	struct nfs_stat_64 n;
	int rc = client_stat(path, &n);
	if (rc < 0) return rc;
	*st = (struct stat){
		.st_ino = n.nfs_ino, .st_mode = n.nfs_mode, .st_nlink = n.nfs_nlink, .st_uid = n.nfs_uid, .st_gid = n.nfs_gid, .st_size = n.nfs_size,
		.st_blksize = n.nfs_blksize, .st_blocks = n.nfs_blocks, .st_atim = {n.nfs_atime, n.nfs_atime_nsec},
		.st_mtim = {n.nfs_mtime, n.nfs_mtime_nsec}, .st_ctim = {n.nfs_ctime, n.nfs_ctime_nsec},
	};
	return 0;
}

static int read_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi, enum fuse_readdir_flags f) {
	struct nfsdir *directory;
	struct nfsdirent *entry;
	int rc = client_open_directory(path, &directory);
	if (rc < 0) return rc;
	while ((entry = client_next(directory))) fill(buffer, entry->name, NULL, 0, 0);
	client_close_directory(directory);
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *fi) {
	struct nfsfh *file;
	int rc = client_open(path, &file);
	if (rc == 0) fi->fh = (uintptr_t)file;
	return rc;
}

static int read_file(const char *path, char *out, size_t size, off_t offset, struct fuse_file_info *fi) {
	size_t done = 0;
	while (done < size) {
		int count = client_read(handle(fi), offset + done, size - done, out + done);
		if (count < 0) return count;
		if (count == 0) break;
		done += count;
	}
	return (int)done;
}

static int close_file(const char *path, struct fuse_file_info *fi) { return client_close(handle(fi)); }

static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
	config->use_ino = 1;
	config->attr_timeout = config->entry_timeout = config->ac_attr_timeout = options.attribute_seconds;
	config->kernel_cache = options.keep_cache;
	config->auto_cache = !options.keep_cache; // close-to-open: pages are dropped when size or time changed
	connection->max_read = options.read_size;
	return NULL;
}

static const struct fuse_operations operations = {
	.init = start, .getattr = get_attributes, .readdir = read_directory, .readlink = client_read_link, .open = open_file,
	.read = read_file, .release = close_file, .statfs = client_statvfs,
};

// Whether who made the call was killed: the kernel's client lets such a one go, and FUSE holds it until the call is answered.
static bool killed(void) {
	char name[64], line[128];
	unsigned long pending = 0, found;
	snprintf(name, sizeof name, "/proc/%d/status", (int)fuse_get_context()->pid);
	FILE *status = fopen(name, "re");
	if (!status) return false;
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "SigPnd: %lx", &found) == 1 || sscanf(line, "ShdPnd: %lx", &found) == 1) pending |= found;
	fclose(status);
	return pending & 1UL << (SIGKILL - 1);
}

static int fail(const char *source, const char *reason) {
	fprintf(stderr, "mount.nfs: %s: %s\n", source, reason);
	return FAILED;
}

// Asks for as long as a mount is tried: a server that is not there may come, one that says no means it.
static int connect_server(const char *server, const char *path) {
	time_t deadline = time(NULL) + 60 * options.retry;
	int rc;
	while ((rc = client_mount(server, path, &options)) == -ETIMEDOUT && time(NULL) < deadline) sleep(1);
	return rc;
}

static bool resolves(const char *server) {
	struct addrinfo *found;
	if (getaddrinfo(server, NULL, NULL, &found)) return false;
	freeaddrinfo(found);
	return true;
}

static int serve(const char *source, const char *directory) {
	char arguments[1024];
	snprintf(arguments, sizeof arguments, "fsname=%s,subtype=nfs,allow_other,default_permissions,max_read=%d,%s", source, options.read_size, options.kernel);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	fuse_opt_add_arg(&args, "mount.nfs");
	fuse_opt_add_arg(&args, "-o");
	fuse_opt_add_arg(&args, arguments);
	struct fuse *fuse = fuse_new(&args, &operations, sizeof operations, NULL);
	if (!fuse || fuse_mount(fuse, directory)) return FAILED; // libfuse has said why
	client_watch(fuse_session_fd(fuse_get_session(fuse)), killed);
	if (*options.without_effect) syslog(LOG_WARNING, "%s on %s: options without effect: %s", source, directory, options.without_effect);
	if (fuse_daemonize(0)) return FAILED;
	return fuse_loop(fuse) ? FAILED : 0;
}

int main(int argc, char **argv) {
	const char *list = "", *usage = "usage: mount.nfs SERVER:/PATH DIRECTORY [-sfnv] [-o OPTIONS]\n";
	char error[256], *server, *path;
	bool fake = false;
	int letter;
	while ((letter = getopt(argc, argv, "sfnvo:N:t:")) != -1) {
		if (letter == 'o') list = optarg;
		else if (letter == 's') options.sloppy = true;
		else if (letter == 'f') fake = true;
		else if (letter == '?') return fputs(usage, stderr), USAGE;
	}
	if (argc - optind != 2 || !(path = strstr(argv[optind], ":/"))) return fputs(usage, stderr), USAGE;
	const char *source = argv[optind], *directory = argv[optind + 1];
	server = strndup(source, path++ - source);
	if (!parse_options(list, &options, error, sizeof error)) return fail(source, error);
	if (!options.read_only) return fail(source, "only read-only mounts are supported by this host's mount.nfs: add the option ro");
	if (!resolves(server)) return fail(source, "failed to resolve the server's name");
	openlog("mount.nfs", LOG_PID, LOG_DAEMON);
	if (options.remount)
		return mount(source, directory, NULL, MS_REMOUNT | options.flags, NULL) ? fail(directory, strerror(errno)) : 0;
	int rc = connect_server(server, path);
	if (rc == -ETIMEDOUT) {
		snprintf(error, sizeof error, "no answer from the server: %s", client_error());
		return fail(source, error);
	}
	if (rc < 0) return fail(source, rc == -EACCES ? "access denied by server" : rc == -ENOENT ? "no such path on the server" : client_error());
	return fake ? 0 : serve(source, directory);
}
