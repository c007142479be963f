package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
)

// forwarding is what k3s sets for its pod network; where a host refuses, k3s goes on too.
var forwarding = map[string]string{
	"net/ipv4/conf/all/forwarding": "1", "net/ipv4/conf/default/forwarding": "1", "net/bridge/bridge-nf-call-iptables": "1",
}

// demanded is what a kubelet sets and does not start without.
var demanded = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// prepareKernel sets sysctls. Those of the whole machine are not a container host's to set: where /proc/sys is read-only
// the kubelet is shown the value it asks for, in a file mounted over the kernel's.
func prepareKernel() error {
	for name, value := range forwarding {
		if err := setSysctl(name, value); err != nil {
			logrus.Warnf("sysctl: %v", err)
		}
	}
	for name, value := range demanded {
		err := setSysctl(name, value)
		if errors.Is(err, syscall.EROFS) {
			err = pretend(name, value)
		}
		if err != nil {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	return nil
}

func setSysctl(name, value string) error {
	file := filepath.Join("/proc/sys", name)
	if have, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(have)) == value {
		return nil
	}
	return os.WriteFile(file, []byte(value), 0o644)
}

func pretend(name, value string) error {
	file := filepath.Join(runDir, "sysctl", strings.ReplaceAll(name, "/", "."))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
		return err
	}
	logrus.Infof("sysctl %s is read-only in this host: the kubelet is shown %s", name, value)
	return syscall.Mount(file, filepath.Join("/proc/sys", name), "", syscall.MS_BIND, "")
}
