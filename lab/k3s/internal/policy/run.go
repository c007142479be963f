package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"rackstart.dev/lab/k3s/internal/watch"
)

const again = 30 * time.Minute // the API keeps an Event for an hour

type enforcer struct {
	client  kubernetes.Interface
	node    string
	load    func(ctx context.Context, ruleset string) error
	loaded  string
	refused map[types.UID]said
}

type said struct {
	generation int64
	at         time.Time
}

// Run keeps the node's rules as the cluster's policies say. They stay when it ends, since the pods do.
func Run(ctx context.Context, client kubernetes.Interface, node string) error {
	const bridge = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	value, err := os.ReadFile(bridge)
	if err == nil && strings.TrimSpace(string(value)) != "1" {
		err = fmt.Errorf("%s is not 1", bridge)
	}
	if err != nil {
		return fmt.Errorf("%w: pods of one node would reach each other unseen (disable-network-policy goes without)", err)
	}
	return (&enforcer{client: client, node: node, load: load}).run(ctx)
}

// Remove takes away the rules of a former run.
func Remove(ctx context.Context) error { return load(ctx, absent) }

// load hands the kernel a ruleset: all of it or, with an error, nothing.
func load(ctx context.Context, ruleset string) error {
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(ruleset)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, output)
	}
	return nil
}

func (e *enforcer) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(e.client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	return watch.Loop(ctx, factory, 30*time.Second, func(due bool) error {
		var s State
		var errs [3]error
		s.Pods, errs[0] = pods.Lister().List(labels.Everything())
		s.Namespaces, errs[1] = namespaces.Lister().List(labels.Everything())
		s.Policies, errs[2] = policies.Lister().List(labels.Everything())
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		return e.enforce(ctx, s, due)
	}, pods.Informer(), namespaces.Informer(), policies.Informer())
}

// enforce fails when the node cannot be policed at all; a later failure leaves the last rules in force, and is tried again.
func (e *enforcer) enforce(ctx context.Context, s State, due bool) error {
	ruleset, refused := Compile(e.node, s)
	if due || ruleset != e.loaded {
		err := e.load(ctx, ruleset)
		switch {
		case err == nil:
			e.loaded = ruleset
		case ctx.Err() != nil:
			return nil
		case e.loaded == "":
			return err
		default:
			logrus.Errorf("network policies: the rules stay as they were: %v", err)
		}
	}
	e.say(ctx, refused)
	return nil
}

// say reports each refused policy, in the journal and by one Event for all nodes, until it is changed.
func (e *enforcer) say(ctx context.Context, refused []Refusal) {
	now := map[types.UID]said{}
	for _, r := range refused {
		if last := e.refused[r.Policy.UID]; last.generation == r.Policy.Generation && time.Since(last.at) < again {
			now[r.Policy.UID] = last
			continue
		}
		message := fmt.Sprintf("%s is not enforced by this stand-in: every pod that the policy selects is closed in both directions", r.Part)
		logrus.Errorf("network policy %s/%s: %s", r.Policy.Namespace, r.Policy.Name, message)
		_, err := e.client.CoreV1().Events(r.Policy.Namespace).Create(ctx, event(r, message), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			logrus.Warnf("network policy %s/%s: no Event says so: %v", r.Policy.Namespace, r.Policy.Name, err)
			continue
		}
		now[r.Policy.UID] = said{r.Policy.Generation, time.Now()}
	}
	e.refused = now
}

func event(r Refusal, message string) *corev1.Event {
	now := metav1.Now()
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Policy.Namespace, Name: fmt.Sprintf("%.190s.%s.%d", r.Policy.Name, r.Policy.UID, r.Policy.Generation),
		},
		InvolvedObject: corev1.ObjectReference{
			Kind: "NetworkPolicy", APIVersion: "networking.k8s.io/v1", Namespace: r.Policy.Namespace, Name: r.Policy.Name, UID: r.Policy.UID,
		},
		Type: corev1.EventTypeWarning, Reason: "NotEnforced", Message: message,
		Source: corev1.EventSource{Component: "k3s-network-policy"}, Count: 1, FirstTimestamp: now, LastTimestamp: now,
	}
}
