package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// absent is a ruleset that removes ours, whether it is there or not.
const absent = "table ip k3s-policy\ndelete table ip k3s-policy\n"

// The hook `forward` sees a Service's traffic after its address became a pod's and, by br_netfilter, what the bridge carries from pod to
// pod. What the node sends to its own pods never gets there, so probes pass. `input` is what pods send to their node: kube-router
// judges that too. Accepting ends these chains only: other tables still have their say.
const frame = `table ip k3s-policy {
%s	chain forward {
		type filter hook forward priority filter - 1; policy accept;
		jump pods
	}
	chain input {
		type filter hook input priority filter - 1; policy accept;
		jump pods
	}
	chain pods {
		ct state established,related accept
		ip saddr . ip daddr @itself accept
		ip saddr @closed reject
		ip daddr @closed reject
		ip saddr @egress jump egress
		ip daddr @ingress jump ingress
	}
%s}
`

// ruleset is for addresses of this node's pods only.
type ruleset struct {
	closed          []netip.Addr // to and from them nothing passes
	ingress, egress direction
}

type direction struct {
	isolated []netip.Addr
	allowed  []rule
}

type rule struct {
	policy          string
	subjects, peers []netip.Addr
	anyone          bool
	ports           string // a match, or nothing
}

func (d *direction) isolate(subjects []netip.Addr) { d.isolated = append(d.isolated, subjects...) }

// allow opens the subjects to the peers, or to anyone, on the ports, or on all.
func (d *direction) allow(policy string, subjects []netip.Addr, anyone bool, peers []netip.Addr, ports []networkingv1.NetworkPolicyPort) {
	if len(subjects) == 0 || !anyone && len(peers) == 0 {
		return
	}
	numbers := map[string][]string{}
	for _, port := range ports {
		protocol := "tcp"
		if port.Protocol != nil && *port.Protocol == corev1.ProtocolUDP {
			protocol = "udp"
		}
		numbers[protocol] = append(numbers[protocol], port.Port.String())
	}
	matches := []string{""}
	if len(ports) > 0 {
		matches = nil
	}
	for _, protocol := range []string{"tcp", "udp"} {
		if all := numbers[protocol]; all != nil {
			slices.Sort(all)
			matches = append(matches, fmt.Sprintf("%s dport { %s } ", protocol, strings.Join(slices.Compact(all), ", ")))
		}
	}
	for _, match := range matches {
		d.allowed = append(d.allowed, rule{policy, subjects, peers, anyone, match})
	}
}

func (r *ruleset) text() string {
	subjects := slices.Concat(r.closed, r.ingress.isolated, r.egress.isolated)
	sets := set("closed", r.closed) + set("egress", r.egress.isolated) + set("ingress", r.ingress.isolated) + pairs("itself", subjects)
	return absent + fmt.Sprintf(frame, sets, r.egress.chain("egress", "saddr", "daddr")+r.ingress.chain("ingress", "daddr", "saddr"))
}

// chain goes back to its caller when a rule allows the connection: the other end's policies are still to be asked.
func (d *direction) chain(name, subject, peer string) string {
	text := fmt.Sprintf("\tchain %s {\n", name)
	for _, rule := range d.allowed {
		text += fmt.Sprintf("\t\tip %s { %s } ", subject, list(rule.subjects))
		if !rule.anyone {
			text += fmt.Sprintf("ip %s { %s } ", peer, list(rule.peers))
		}
		text += fmt.Sprintf("%sreturn comment \"%.120s\"\n", rule.ports, rule.policy) // a comment has 128 characters at most
	}
	return text + "\t\treject\n\t}\n"
}

func set(name string, addresses []netip.Addr) string {
	return fmt.Sprintf("\tset %s {\n\t\ttype ipv4_addr\n%s\t}\n", name, elements(list(addresses)))
}

func pairs(name string, addresses []netip.Addr) string {
	var all []string
	for _, address := range unique(addresses) {
		all = append(all, fmt.Sprintf("%s . %s", address, address))
	}
	return fmt.Sprintf("\tset %s {\n\t\ttype ipv4_addr . ipv4_addr\n%s\t}\n", name, elements(strings.Join(all, ", ")))
}

func elements(list string) string {
	if list == "" {
		return ""
	}
	return fmt.Sprintf("\t\telements = { %s }\n", list)
}

func list(addresses []netip.Addr) string {
	var all []string
	for _, address := range unique(addresses) {
		all = append(all, address.String())
	}
	return strings.Join(all, ", ")
}

func unique(addresses []netip.Addr) []netip.Addr {
	return slices.Compact(slices.SortedFunc(slices.Values(addresses), netip.Addr.Compare))
}
