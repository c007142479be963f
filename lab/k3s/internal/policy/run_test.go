package policy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const denyAll = "{podSelector: {}, policyTypes: [Ingress, Egress]}"

func TestFollowsTheCluster(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	s := rack(t, denyAll)
	client := fake.NewClientset(s.Pods[0], s.Namespaces[0])
	loads := make(chan string, 10)
	e := &enforcer{client: client, node: node, load: func(_ context.Context, text string) error {
		loads <- flatten(text)
		return nil
	}}
	ended := make(chan error, 1)
	go func() { ended <- e.run(ctx) }()
	expect := func(part string) {
		t.Helper()
		select {
		case text := <-loads:
			if !strings.Contains(text, part) {
				t.Fatalf("no %q in %s", part, text)
			}
		case <-ctx.Done():
			t.Fatal("nothing was loaded")
		}
	}
	expect("ingress { }")
	if _, err := client.NetworkingV1().NetworkPolicies("default").Create(ctx, s.Policies[0], metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("ingress { 10.42.0.3 }")
	if _, err := client.CoreV1().Pods("default").Create(ctx, s.Pods[1], metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("ingress { 10.42.0.2, 10.42.0.3 }")
	stop()
	if err := <-ended; err != nil {
		t.Error("a context that ends is no failure:", err)
	}
}

func TestLoads(t *testing.T) {
	var loads int
	var failure error
	e := &enforcer{client: fake.NewClientset(), node: node, load: func(context.Context, string) error {
		loads++
		return failure
	}}
	for _, step := range []struct {
		name   string
		policy string
		due    bool
		fails  error
		loads  int
		ends   bool
	}{
		{"nothing can be policed", denyAll, false, errors.New("no nft"), 1, true},
		{"the first rules", denyAll, false, nil, 2, false},
		{"nothing new", denyAll, false, nil, 2, false},
		{"nothing new, but due", denyAll, true, nil, 3, false},
		{"a failure later", "{podSelector: {}, policyTypes: [Ingress]}", false, errors.New("no nft"), 4, false},
		{"is tried again", "{podSelector: {}, policyTypes: [Ingress]}", false, nil, 5, false},
	} {
		failure = step.fails
		if err := e.enforce(t.Context(), rack(t, step.policy), step.due); (err != nil) != step.ends || loads != step.loads {
			t.Errorf("%s: %v after %d loads", step.name, err, loads)
		}
	}
}

func TestSaysWhatItRefuses(t *testing.T) {
	client := fake.NewClientset()
	e := &enforcer{client: client, node: node, load: func(context.Context, string) error { return nil }}
	s := rack(t, "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}")
	s.Policies[0].UID = "1234"
	creations := func() (n int) {
		for _, action := range client.Actions() {
			if action.Matches("create", "events") {
				n++
			}
		}
		return n
	}
	for generation, want := range []int{1, 2} {
		s.Policies[0].Generation = int64(generation)
		for range 2 {
			if err := e.enforce(t.Context(), s, false); err != nil || creations() != want {
				t.Errorf("generation %d: %v, %d events", generation, err, creations())
			}
		}
	}
	e.refused = nil // as after a restart, or on another node: the Event is there
	if err := e.enforce(t.Context(), s, false); err != nil || len(e.refused) != 1 {
		t.Error(err, e.refused)
	}
	events, err := client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 2 {
		t.Fatal(err, events)
	}
	got := events.Items[0]
	if got.Type != "Warning" || got.InvolvedObject.Kind != "NetworkPolicy" || got.InvolvedObject.Name != "p0" || !strings.Contains(got.Message, "ingress[0].from[0].ipBlock is not enforced") {
		t.Errorf("%+v", got)
	}
	s.Policies = nil
	if err := e.enforce(t.Context(), s, false); err != nil || len(e.refused) != 0 {
		t.Error("a policy that went is remembered", err, e.refused)
	}
}
