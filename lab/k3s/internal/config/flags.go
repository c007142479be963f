package config

// Kind says how a flag's value is written.
type Kind int

const (
	Text Kind = iota
	Bool
	List   // repeatable, each value kept whole
	Commas // repeatable, each value split at commas
)

type support int

const (
	honoured support = iota
	implied          // whatever its value, the stand-in behaves as one of k3s's choices; README.md says which
	refused          // k3s knows it, the stand-in cannot honour it
)

type flag struct {
	kind     Kind
	server   bool // a key of `k3s server`
	agent    bool // a key of `k3s agent`
	support  support
	fallback string
}

// The keys of k3s v1.34's config.yaml: those of both commands, then those of the server alone.
var flags = map[string]flag{}

func init() {
	declare := func(server, agent bool, kind Kind, level support, fallback string, names ...string) {
		for _, name := range names {
			flags[name] = flag{kind, server, agent, level, fallback}
		}
	}
	both := func(kind Kind, level support, names ...string) { declare(true, true, kind, level, "", names...) }
	server := func(kind Kind, level support, names ...string) { declare(true, false, kind, level, "", names...) }

	both(Text, honoured, "token", "token-file", "server", "node-name", "resolv-conf", "snapshotter", "default-runtime")
	declare(true, true, Text, honoured, "/var/lib/rancher/k3s", "data-dir")
	declare(true, true, Text, honoured, "/etc/rancher/k3s/registries.yaml", "private-registry")
	declare(true, true, Text, honoured, "docker.io/rancher/mirrored-pause:3.6", "pause-image")
	declare(true, true, Text, honoured, "6444", "lb-server-port")
	both(Commas, honoured, "node-ip")
	both(List, honoured, "node-label", "node-taint", "kubelet-arg", "kube-proxy-arg")
	both(Bool, honoured, "debug", "disable-default-registry-endpoint", "protect-kernel-defaults")
	both(Bool, implied, "alsologtostderr", "prefer-bundled-bin")
	both(Text, implied, "flannel-iface")
	both(Bool, refused, "with-node-id", "selinux", "docker", "rootless", "enable-pprof")
	both(Text, refused, "flannel-conf", "flannel-cni-conf", "container-runtime-endpoint", "image-service-endpoint", "system-default-registry",
		"image-credential-provider-bin-dir", "image-credential-provider-config", "vpn-auth", "vpn-auth-file", "bind-address", "log", "v", "vmodule")
	both(Commas, refused, "node-external-ip")

	declare(true, false, Text, honoured, "6443", "https-listen-port")
	declare(true, false, Text, honoured, "10.42.0.0/16", "cluster-cidr")
	declare(true, false, Text, honoured, "10.43.0.0/16", "service-cidr")
	declare(true, false, Text, honoured, "30000-32767", "service-node-port-range")
	declare(true, false, Text, honoured, "cluster.local", "cluster-domain")
	declare(true, false, Text, honoured, "vxlan", "flannel-backend")
	declare(true, false, Text, honoured, "/etc/rancher/k3s/k3s.yaml", "write-kubeconfig")
	declare(true, false, Text, honoured, "600", "write-kubeconfig-mode")
	declare(true, false, Text, honoured, "docker.io/rancher/klipper-helm:v0.9.14-build20260210", "helm-job-image")
	server(Text, honoured, "agent-token", "agent-token-file", "advertise-address", "cluster-dns")
	server(Commas, honoured, "tls-san", "disable")
	server(List, honoured, "kube-apiserver-arg", "kube-controller-manager-arg", "kube-scheduler-arg", "etcd-arg")
	server(Bool, honoured, "cluster-init", "disable-helm-controller", "disable-kube-proxy", "disable-network-policy", "disable-scheduler")
	server(Bool, implied, "tls-san-security", "disable-cloud-controller", "etcd-disable-snapshots", "flannel-ipv6-masq")
	server(Text, implied, "egress-selector-mode", "servicelb-namespace", "default-local-storage-path")
	server(List, refused, "kube-cloud-controller-manager-arg")
	server(Bool, refused, "cluster-reset", "etcd-expose-metrics", "etcd-snapshot-compress", "etcd-s3", "flannel-external-ip",
		"embedded-registry", "secrets-encryption", "supervisor-metrics", "etcd-s3-skip-ssl-verify", "etcd-s3-insecure")
	server(Text, refused, "advertise-port", "write-kubeconfig-group", "cluster-reset-restore-path", "datastore-endpoint", "datastore-cafile",
		"datastore-certfile", "datastore-keyfile", "etcd-snapshot-name", "etcd-snapshot-schedule-cron", "etcd-snapshot-retention",
		"etcd-snapshot-dir", "etcd-s3-endpoint", "etcd-s3-endpoint-ca", "etcd-s3-access-key", "etcd-s3-secret-key", "etcd-s3-bucket",
		"etcd-s3-region", "etcd-s3-folder", "etcd-s3-timeout", "etcd-s3-config-secret")
}

// Packaged are the add-ons that `disable` may name; Carried are those that the stand-in has.
var (
	Packaged = []string{"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"}
	Carried  = []string{"coredns", "runtimes"}
)

// environment gives a key its value where neither a file nor the command line does.
var environment = map[string]string{
	"K3S_TOKEN": "token", "K3S_TOKEN_FILE": "token-file", "K3S_URL": "server", "K3S_NODE_NAME": "node-name",
	"K3S_AGENT_TOKEN": "agent-token", "K3S_AGENT_TOKEN_FILE": "agent-token-file",
	"K3S_KUBECONFIG_OUTPUT": "write-kubeconfig", "K3S_KUBECONFIG_MODE": "write-kubeconfig-mode", "K3S_DATA_DIR": "data-dir",
}
