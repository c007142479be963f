package watch

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

var errEnough = errors.New("enough")

// follow runs a loop over the nodes until `act` has been called `calls` times, and answers with what it was told at each.
func follow(t *testing.T, every time.Duration, calls int, then func(*fake.Clientset)) []bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	var told []bool
	err := Loop(ctx, factory, every, func(due bool) error {
		told = append(told, due)
		if len(told) == calls {
			return errEnough
		}
		then(client)
		return nil
	}, factory.Core().V1().Nodes().Informer())
	if !errors.Is(err, errEnough) {
		t.Errorf("the loop ended with %v after %v", err, told)
	}
	return told
}

func TestActsOnChanges(t *testing.T) {
	told := follow(t, time.Hour, 2, func(client *fake.Clientset) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
		if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	})
	if !slices.Equal(told, []bool{false, false}) {
		t.Error(told)
	}
}

func TestActsWhenDue(t *testing.T) {
	if told := follow(t, time.Millisecond, 3, func(*fake.Clientset) {}); !slices.Contains(told, true) {
		t.Error("never due:", told)
	}
}
