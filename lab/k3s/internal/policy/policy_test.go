package policy

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const node = "node-1"

func pod(namespace, name, address, on string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name, "pod": "yes"}},
		Spec:       corev1.PodSpec{NodeName: on},
		Status:     corev1.PodStatus{PodIP: address, Phase: corev1.PodRunning},
	}
}

// rack is the world of all tests: three pods of this node, one of another; c alone is in the namespace `other`.
func rack(t *testing.T, specs ...string) State {
	t.Helper()
	s := State{Pods: []*corev1.Pod{
		pod("default", "b", "10.42.0.3", node), pod("default", "a", "10.42.0.2", node), pod("other", "c", "10.42.0.4", node), pod("default", "d", "10.42.1.2", "node-2"),
	}}
	for _, name := range []string{"default", "other"} {
		s.Namespaces = append(s.Namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}}})
	}
	for i, spec := range specs {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p" + string(rune('0'+i))}}
		if err := yaml.UnmarshalStrict([]byte(spec), &policy.Spec); err != nil {
			t.Fatal(spec, err)
		}
		s.Policies = append(s.Policies, policy)
	}
	return s
}

func TestCompile(t *testing.T) {
	const a, in, out = "podSelector: {matchLabels: {app: a}}, ", "policyTypes: [Ingress], ", "policyTypes: [Egress], "
	for name, c := range map[string]struct {
		spec    string
		has     []string // lines
		allowed int      // rules that open something
	}{
		"deny in":          {a + in, []string{"ingress { 10.42.0.2 }", "egress { }", "itself { 10.42.0.2 . 10.42.0.2 }"}, 0},
		"deny out":         {a + out, []string{"ingress { }", "egress { 10.42.0.2 }"}, 0},
		"deny both":        {a + "policyTypes: [Ingress, Egress]", []string{"ingress { 10.42.0.2 }", "egress { 10.42.0.2 }"}, 0},
		"whole namespace":  {"podSelector: {}, " + in, []string{"ingress { 10.42.0.2, 10.42.0.3 }"}, 0},
		"pods elsewhere":   {"podSelector: {matchLabels: {app: d}}, " + in + "ingress: [{}]", []string{"ingress { }", "itself { }"}, 0},
		"anyone":           {a + in + "ingress: [{}]", []string{`ip daddr { 10.42.0.2 } return comment "default/p0"`}, 1},
		"to anyone":        {a + out + "egress: [{}]", []string{`ip saddr { 10.42.0.2 } return comment "default/p0"`}, 1},
		"own namespace":    {a + in + "ingress: [{from: [{podSelector: {}}]}]", []string{`ip daddr { 10.42.0.2 } ip saddr { 10.42.0.2, 10.42.0.3, 10.42.1.2 } return comment "default/p0"`}, 1},
		"pods of it":       {a + out + "egress: [{to: [{podSelector: {matchLabels: {app: b}}}]}]", []string{`ip saddr { 10.42.0.2 } ip daddr { 10.42.0.3 } return comment "default/p0"`}, 1},
		"namespace":        {a + in + "ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}]", []string{`ip daddr { 10.42.0.2 } ip saddr { 10.42.0.4 } return comment "default/p0"`}, 1},
		"all namespaces":   {a + in + "ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: c}}}]}]", []string{`ip daddr { 10.42.0.2 } ip saddr { 10.42.0.4 } return comment "default/p0"`}, 1},
		"both selectors":   {a + in + "ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}, podSelector: {matchLabels: {app: b}}}]}]", nil, 0},
		"two peers":        {a + in + "ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}, {podSelector: {matchLabels: {app: b}}}]}]", []string{`ip daddr { 10.42.0.2 } ip saddr { 10.42.0.3, 10.42.0.4 } return comment "default/p0"`}, 1},
		"port":             {a + in + "ingress: [{ports: [{port: 80}]}]", []string{`ip daddr { 10.42.0.2 } tcp dport { 80 } return comment "default/p0"`}, 1},
		"ports":            {a + in + "ingress: [{ports: [{port: 443, protocol: TCP}, {port: 53, protocol: UDP}, {port: 80, protocol: TCP}]}]", []string{"tcp dport { 443, 80 }", "udp dport { 53 }"}, 2},
		"rules of no type": {a + in + "egress: [{}]", []string{"egress { }"}, 0},
	} {
		got, refused := Compile(node, rack(t, "{"+c.spec+"}"))
		flat := flatten(got)
		for _, line := range c.has {
			if !strings.Contains(flat, line) {
				t.Errorf("%s: no %q in\n%s", name, line, got)
			}
		}
		if n := strings.Count(got, "return"); n != c.allowed || len(refused) > 0 || !strings.Contains(flat, "closed { }") {
			t.Errorf("%s: %d rules, refused %v:\n%s", name, n, refused, got)
		}
	}
}

// flatten writes a set on one line, without its type.
func flatten(ruleset string) string {
	text := strings.Join(strings.Fields(ruleset), " ")
	for _, noise := range []string{" type ipv4_addr . ipv4_addr", " type ipv4_addr"} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "{ elements = {", "{"), "} }", "}")
}

func TestUnknownFormsCloseTheirPods(t *testing.T) {
	for part, spec := range map[string]string{
		"podSelector.matchExpressions":                          "{podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}]}, policyTypes: [Egress]}",
		"policyTypes (empty)":                                   "{podSelector: {matchLabels: {app: a}}, ingress: [{}]}",
		`policyTypes ("Sideways")`:                              "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Sideways], ingress: [{}]}",
		"ingress[0].from[1].ipBlock":                            "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}]}]}",
		"egress[1].to[0].ipBlock":                               "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{}, {to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
		"egress[0].to[0].podSelector (none)":                    "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{to: [{}]}]}",
		"ingress[0].from[0].podSelector.matchExpressions":       "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}]}",
		"ingress[0].from[0].namespaceSelector.matchExpressions": "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: app, operator: Exists}]}}]}]}",
		`ingress[0].ports[0].port (the name "web")`:             "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{ports: [{port: web}]}]}",
		"ingress[0].ports[1].port (none)":                       "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {protocol: UDP}]}]}",
		"ingress[0].ports[0].endPort":                           "{podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80, endPort: 90}]}]}",
		"egress[0].ports[0].protocol (SCTP)":                    "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{ports: [{port: 80, protocol: SCTP}]}]}",
	} {
		got, refused := Compile(node, rack(t, spec, "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}"))
		if len(refused) != 1 || refused[0].Part != part || refused[0].Policy.Name != "p0" {
			t.Errorf("%s: refused %v", part, refused)
		}
		if !strings.Contains(flatten(got), "closed { 10.42.0.2 }") {
			t.Errorf("%s:\n%s", part, got)
		}
	}
}

func TestWhoIsNoPod(t *testing.T) {
	s := rack(t, "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}")
	for i, change := range []func(*corev1.Pod){
		func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
		func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		func(p *corev1.Pod) { p.Status.PodIP = "" },
		func(p *corev1.Pod) { p.Status.PodIP = "fd00::2" },
	} {
		none := pod("default", "none", "10.42.0.9", node)
		change(none)
		with := s
		with.Pods = append([]*corev1.Pod{none}, s.Pods...)
		before, _ := Compile(node, s)
		if after, _ := Compile(node, with); after != before {
			t.Errorf("change %d counts:\n%s", i, after)
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	s := rack(t, "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}")
	first, _ := Compile(node, s)
	s.Pods[0], s.Pods[3] = s.Pods[3], s.Pods[0]
	s.Policies[0], s.Policies[1] = s.Policies[1], s.Policies[0]
	if second, _ := Compile(node, s); second != first {
		t.Errorf("%s\nis not\n%s", second, first)
	}
}
