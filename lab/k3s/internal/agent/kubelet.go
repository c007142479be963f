package agent

import (
	"strings"

	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/pki"
)

func (a *agent) startKubelet() error {
	settings := map[string]any{
		"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true, "cacheTTL": "2m"},
			"x509": map[string]any{"clientCAFile": a.file("client-ca.crt")},
		},
		"authorization": map[string]any{"mode": "Webhook"},
		"tlsCertFile":   a.file("serving-kubelet.crt"), "tlsPrivateKeyFile": a.file("serving-kubelet.key"),
		"cgroupDriver": "cgroupfs", "containerRuntimeEndpoint": "unix://" + Socket, "staticPodPath": a.file("pod-manifests"),
		"clusterDNS": strings.Split(a.settings.ClusterDNS, ","), "clusterDomain": a.settings.ClusterDomain,
		"evictionHard":                  map[string]string{"imagefs.available": "5%", "nodefs.available": "5%"},
		"evictionMinimumReclaim":        map[string]string{"imagefs.available": "10%", "nodefs.available": "10%"},
		"failSwapOn":                    false,
		"healthzBindAddress":            "127.0.0.1",
		"readOnlyPort":                  0,
		"serializeImagePulls":           false,
		"protectKernelDefaults":         a.config.Bool("protect-kernel-defaults"),
		"failCgroupV1":                  false,
		"resolvConf":                    a.resolvConf(),
		"localStorageCapacityIsolation": false, // cAdvisor cannot see the disk under a container host
	}
	defaults, err := toYAML(settings)
	if err != nil {
		return err
	}
	if err := pki.WriteFile(a.file("etc/kubelet.conf.d/00-k3s-defaults.conf"), defaults, 0o600); err != nil {
		return err
	}
	flags := map[string]string{
		"config-dir": a.file("etc/kubelet.conf.d"), "kubeconfig": a.file("kubelet.kubeconfig"),
		"hostname-override": a.node.Name, "node-ip": strings.Join(a.node.IPs, ","),
	}
	if labels := a.config.List("node-label"); len(labels) > 0 {
		flags["node-labels"] = strings.Join(labels, ",")
	}
	if taints := a.config.List("node-taint"); len(taints) > 0 {
		flags["register-with-taints"] = strings.Join(taints, ",")
	}
	return a.group.Component("kubelet", config.Arguments(flags, a.config.List("kubelet-arg")))
}

func (a *agent) resolvConf() string {
	if file := a.config.Text("resolv-conf"); file != "" {
		return file
	}
	return "/etc/resolv.conf"
}

func (a *agent) startProxy() error {
	if a.settings.DisableKubeProxy {
		return nil
	}
	return a.group.Component("kube-proxy", config.Arguments(map[string]string{
		"kubeconfig": a.file("kubeproxy.kubeconfig"), "hostname-override": a.node.Name, "proxy-mode": "iptables",
		"cluster-cidr": a.settings.ClusterCIDR, "healthz-bind-address": "127.0.0.1",
		"conntrack-max-per-core": "0", "conntrack-tcp-timeout-established": "0s", "conntrack-tcp-timeout-close-wait": "0s", // leave the host's alone, as k3s does
	}, a.config.List("kube-proxy-arg")))
}
