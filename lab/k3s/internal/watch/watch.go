// Package watch runs what follows the cluster's objects.
package watch

import (
	"context"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// Loop calls `act` when an object of the informers changes and, with `due`, once in `every`: to mend what somebody undid.
// It ends with the context, or with the first error of `act`.
func Loop(ctx context.Context, factory informers.SharedInformerFactory, every time.Duration, act func(due bool) error, of ...cache.SharedIndexInformer) error {
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range of {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	poke() // a cluster may have none of the objects
	for {
		due := false
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
			due = true
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := act(due); err != nil {
			return err
		}
	}
}
