// Mount options, as nfs(5) names them.
#ifndef OPTIONS_H
#define OPTIONS_H
#include <stdbool.h>

struct options {
	bool read_only, soft, remount;
	bool keep_cache;             // nocto: pages stay valid over close and open
	bool sloppy;                 // mount -s: unknown options are passed over
	int deciseconds;             // until one try is given up (timeo)
	int retransmissions;         // tries after the first before soft gives up
	int retry;                   // minutes that a mount is tried for
	int read_size;               // bytes
	int attribute_seconds;       // how long attributes are believed
	int port, mount_port;        // 0: ask the server's portmapper
	unsigned long flags;         // MS_* for mount(2)
	char kernel[256];            // the same flags as words, for libfuse
	char without_effect[512];    // accepted, and nothing comes of them
};

// Fills in defaults and parses a comma-separated list on top; false with the reason in error.
bool parse_options(const char *list, struct options *out, char *error, int error_size);
#endif
