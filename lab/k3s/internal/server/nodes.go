package server

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"rackstart.dev/lab/k3s/internal/etcd"
	"rackstart.dev/lab/k3s/internal/supervisor"
)

const (
	etcdRole     = "node-role.kubernetes.io/etcd"
	controlPlane = "node-role.kubernetes.io/control-plane"
	voter        = corev1.NodeConditionType("EtcdIsVoter")
)

// watchNodes labels this server's Node, keeps every node's address in CoreDNS's host list, and forgets what belonged to a deleted Node.
func (s *server) watchNodes(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(s.client, 0)
	nodes := factory.Core().V1().Nodes()
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	if _, err := nodes.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			s.forget(ctx, object.(*corev1.Node))
			poke()
		},
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	hosts := ""
	for {
		all, err := nodes.Lister().List(labels.Everything())
		if err == nil {
			err = s.label(ctx, all)
		}
		if now := hostsFile(all); err == nil && now != hosts && !s.config.Disabled("coredns") {
			if err = s.writeHosts(ctx, now); err == nil {
				hosts = now
			}
		}
		retry := (<-chan time.Time)(nil)
		if err != nil {
			logrus.Warnf("nodes: %v", err)
			retry = time.After(3 * time.Second)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-retry:
		}
	}
}

// label gives this server's Node the roles that a kubelet may not give itself.
func (s *server) label(ctx context.Context, nodes []*corev1.Node) error {
	roles := map[string]string{controlPlane: "true"}
	if etcd.Clustered(s.dir) {
		roles[etcdRole] = "true"
	}
	for _, node := range nodes {
		if node.Name != s.node.Name {
			continue
		}
		for key, value := range roles {
			if node.Labels[key] == value {
				delete(roles, key)
			}
		}
		if len(roles) > 0 {
			return s.patch(ctx, node.Name, map[string]any{"metadata": map[string]any{"labels": roles}})
		}
	}
	return nil
}

// forget lets a host register anew under a deleted Node's name, and takes a deleted server's member out of etcd.
func (s *server) forget(ctx context.Context, node *corev1.Node) {
	err := s.client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, supervisor.SecretName(node.Name), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		logrus.Errorf("deleting the password of the deleted node %s: %v", node.Name, err)
	}
	if node.Labels[etcdRole] == "true" && node.Name != s.node.Name {
		if err := etcd.Remove(ctx, s.dir, node.Name); err != nil {
			logrus.Errorf("removing the etcd member of the deleted node %s: %v", node.Name, err)
		}
	}
}

func (s *server) writeHosts(ctx context.Context, hosts string) error {
	config := coreapply.ConfigMap("coredns", metav1.NamespaceSystem).WithData(map[string]string{"NodeHosts": hosts})
	_, err := s.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Apply(ctx, config, metav1.ApplyOptions{FieldManager: "k3s-node-hosts", Force: true})
	return err
}

func hostsFile(nodes []*corev1.Node) string {
	var lines []string
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				lines = append(lines, address.Address+" "+node.Name+"\n")
			}
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// reportMembers sets every server's condition EtcdIsVoter.
func (s *server) reportMembers(ctx context.Context, members []etcd.Health) error {
	for _, member := range members {
		node, err := s.client.CoreV1().Nodes().Get(ctx, member.Node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue // joined etcd, its kubelet has not registered yet
		}
		if err != nil {
			return err
		}
		condition := memberCondition(member)
		if have := find(node, voter); have != nil {
			if have.Status == condition.Status && have.Reason == condition.Reason && time.Since(have.LastHeartbeatTime.Time) < 5*time.Minute {
				continue
			}
			if have.Status == condition.Status {
				condition.LastTransitionTime = have.LastTransitionTime
			}
		}
		if err := s.patch(ctx, node.Name, map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{condition}}}, "status"); err != nil {
			return err
		}
	}
	return nil
}

func memberCondition(member etcd.Health) corev1.NodeCondition {
	now := metav1.Now()
	c := corev1.NodeCondition{Type: voter, LastHeartbeatTime: now, LastTransitionTime: now}
	switch {
	case !member.Answered:
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "Unhealthy", "Node is unhealthy: its etcd member does not answer"
	case member.Voter:
		c.Status, c.Reason, c.Message = corev1.ConditionTrue, "MemberNotLearner", "Node is a voting member of the etcd cluster"
	default:
		c.Status, c.Reason, c.Message = corev1.ConditionFalse, "MemberIsLearner", "Node has not been promoted to voting member of the etcd cluster"
	}
	return c
}

func find(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

func (s *server) patch(ctx context.Context, node string, change map[string]any, subresource ...string) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	if _, err := s.client.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, data, metav1.PatchOptions{}, subresource...); err != nil {
		return fmt.Errorf("patching node %s: %w", node, err)
	}
	return nil
}
