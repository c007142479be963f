package policy

import (
	"os"
	"strings"
	"testing"
)

// network is a node with three pods on its bridge and a second node with one, as agent/network.go and the CNI plugins make them, and
// Services as kube-proxy does: .10 is b, .11 is d, .12 is a.
func network(t *testing.T) map[string]*host {
	t.Helper()
	hosts := map[string]*host{}
	for _, name := range []string{"node", "a", "b", "c", "node-2", "d"} {
		hosts[name] = start(t)
		hosts[name].run(t, "", "ip link set lo up")
	}
	node, second := hosts["node"], hosts["node-2"]
	node.run(t, "", strings.ReplaceAll(`
		ip link add cni0 type bridge
		ip address add 10.42.0.1/24 dev cni0
		ip link set cni0 up
		ip link add eth0 type veth peer name eth0 netns PID
		ip address add 192.0.2.1/24 dev eth0
		ip link set eth0 up`, "PID", second.pid))
	second.run(t, "", "ip address add 192.0.2.2/24 dev eth0\nip link set eth0 up\nip route add 10.42.0.0/24 via 192.0.2.1")
	node.run(t, "", "ip route add 10.42.1.0/24 via 192.0.2.2")
	for name, address := range map[string]string{"a": "10.42.0.2", "b": "10.42.0.3", "c": "10.42.0.4"} {
		pod := hosts[name]
		node.run(t, "", strings.NewReplacer("POD", name, "PID", pod.pid).Replace(`
			ip link add vethPOD type veth peer name eth0 netns PID
			ip link set vethPOD master cni0
			ip link set vethPOD type bridge_slave hairpin on
			ip link set vethPOD up`))
		pod.run(t, "", "ip address add "+address+"/24 dev eth0\nip link set eth0 up\nip route add default via 10.42.0.1")
	}
	second.run(t, "", "ip link add vethd type veth peer name eth0 netns "+hosts["d"].pid+"\nip address add 10.42.1.1/24 dev vethd\nip link set vethd up")
	hosts["d"].run(t, "", "ip address add 10.42.1.2/24 dev eth0\nip link set eth0 up\nip route add default via 10.42.1.1")
	node.run(t, `table ip services {
		chain prerouting {
			type nat hook prerouting priority dstnat
			ip daddr 10.43.0.10 dnat to 10.42.0.3
			ip daddr 10.43.0.11 dnat to 10.42.1.2
			ip daddr 10.43.0.12 dnat to 10.42.0.2
		}
		chain postrouting {
			type nat hook postrouting priority srcnat
			ip saddr . ip daddr { 10.42.0.2 . 10.42.0.2 } masquerade
		}
	}`, "nft -f -")
	return hosts
}

var addresses = map[string]string{
	"a": "10.42.0.2", "b": "10.42.0.3", "c": "10.42.0.4", "d": "10.42.1.2", "node": "10.42.0.1", "node-2": "192.0.2.2",
	"service-a": "10.43.0.12", "service-b": "10.43.0.10", "service-d": "10.43.0.11",
}

func TestKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	hosts := network(t)
	tries := []string{
		"a>b:80", "a>b:81", "b>a:80", "b>a:81", "a>c:80", "c>a:80", "b>c:80", "a>d:80", "d>a:80", "d>a:81", "d>b:80", "a>service-b:80", "c>service-a:80",
		"a>service-d:80", "a>service-a:80", "node>a:80", "node>b:80", "node-2>a:80", "node-2>b:80", "a>node:80", "b>node:80", "a>node-2:80",
	}
	const a, b = "{podSelector: {matchLabels: {app: a}}, policyTypes: ", "{podSelector: {matchLabels: {app: b}}, policyTypes: "
	for _, c := range []struct {
		name     string
		policies []string
		shut     string // the tries that are refused, with TCP and UDP but where a protocol is named; all others are open
	}{
		{"no policy", nil, ""},
		{"nothing in", []string{a + "[Ingress]}"}, "b>a:80 b>a:81 c>a:80 d>a:80 d>a:81 c>service-a:80 node-2>a:80"},
		{"nothing out", []string{a + "[Egress]}"}, "a>b:80 a>b:81 a>c:80 a>d:80 a>service-b:80 a>service-d:80 a>node:80 a>node-2:80"},
		{"rules of no type", []string{a + "[Ingress], ingress: [{}], egress: [{ports: [{port: 1}]}]}"}, ""},
		{
			"pods of the namespace", []string{a + "[Ingress], ingress: [{from: [{podSelector: {}}]}]}"}, "c>a:80 c>service-a:80 node-2>a:80",
		},
		{
			"one pod", []string{a + "[Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: d}}}]}]}"},
			"b>a:80 b>a:81 c>a:80 c>service-a:80 node-2>a:80",
		},
		{
			"another namespace", []string{a + "[Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]}"},
			"b>a:80 b>a:81 d>a:80 d>a:81 node-2>a:80",
		},
		{
			"a pod of any namespace, one port", []string{a + "[Ingress], ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}]}]}"},
			"udp/b>a:80 b>a:81 c>a:80 d>a:80 d>a:81 c>service-a:80 node-2>a:80",
		},
		{
			"ports for anyone", []string{a + "[Ingress], ingress: [{ports: [{port: 80, protocol: UDP}, {port: 81, protocol: TCP}]}]}"},
			"tcp/b>a:80 udp/b>a:81 tcp/c>a:80 tcp/d>a:80 udp/d>a:81 tcp/c>service-a:80 tcp/node-2>a:80",
		},
		{
			"out to a pod, by address and Service", []string{a + "[Egress], egress: [{to: [{podSelector: {matchLabels: {app: b}}}], ports: [{port: 80}, {port: 80, protocol: UDP}]}]}"},
			"a>b:81 a>c:80 a>d:80 a>service-d:80 a>node:80 a>node-2:80",
		},
		{
			"out to anyone, one port", []string{a + "[Egress], egress: [{ports: [{port: 80}]}]}"},
			"udp/a>b:80 a>b:81 udp/a>c:80 udp/a>d:80 udp/a>service-b:80 udp/a>service-d:80 udp/a>node:80 udp/a>node-2:80",
		},
		{
			"out to another node's pod", []string{a + "[Egress], egress: [{to: [{podSelector: {matchLabels: {app: d}}}]}]}"},
			"a>b:80 a>b:81 a>c:80 a>service-b:80 a>node:80 a>node-2:80",
		},
		{
			"both ends are asked", []string{a + "[Egress], egress: [{to: [{podSelector: {}}]}]}", b + "[Ingress], ingress: [{ports: [{port: 81}]}]}"},
			"a>b:80 udp/a>b:81 a>c:80 d>b:80 a>service-b:80 node-2>b:80 a>node:80 a>node-2:80",
		},
		{
			"two policies add up", []string{a + "[Ingress]}", a + "[Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}"},
			"c>a:80 d>a:80 d>a:81 c>service-a:80 node-2>a:80",
		},
		{
			"a form not known", []string{a + "[Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}", a + "[Ingress], ingress: [{}]}"},
			"a>b:80 a>b:81 b>a:80 b>a:81 a>c:80 c>a:80 a>d:80 d>a:80 d>a:81 a>service-b:80 c>service-a:80 a>service-d:80 node-2>a:80 a>node:80 a>node-2:80",
		},
		{"no policy any more", nil, ""},
	} {
		text, _ := Compile("node-1", rack(t, c.policies...))
		hosts["node"].run(t, text, "nft -f -")
		for _, try := range tries {
			from, to, _ := strings.Cut(try, ">")
			name, port, _ := strings.Cut(to, ":")
			for _, protocol := range []string{"tcp", "udp"} {
				want := "open"
				if padded := " " + c.shut + " "; strings.Contains(padded, " "+try+" ") || strings.Contains(padded, " "+protocol+"/"+try+" ") {
					want = "refused"
				}
				got := hosts[from].reach(t, protocol, addresses[name]+":"+port)
				if strings.HasPrefix(got, "silent") { // hundreds of these would take their time
					t.Fatalf("%s: %s/%s is %s", c.name, protocol, try, got)
				}
				if got != want {
					t.Errorf("%s: %s/%s is %s, not %s", c.name, protocol, try, got, want)
				}
			}
		}
	}
	hosts["node"].run(t, absent+absent, "nft -f -")
	hosts["node"].run(t, "", "nft list table ip services")
}
