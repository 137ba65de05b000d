#include "batches.h"

#include <string.h>

Batch *batches_make(uint64_t n, uint64_t capacity)
{
    Batch *batches = pages_map(n * sizeof *batches, "the batches");
    for (uint64_t i = 0; i < n; i++) {
        size_t bytes = capacity * sizeof(Block);
        batches[i].blocks = pages_map(bytes, "the blocks of a batch");
        memset(batches[i].blocks, 0, bytes); // takes the page faults before any clock runs
    }
    return batches;
}

void batch_queue_make(BatchQueue *queue)
{
    *queue = (BatchQueue){0};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
}

void batch_queue_put(BatchQueue *queue, Batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    batch->next = NULL;
    if (queue->first == NULL)
        queue->first = batch;
    else
        queue->last->next = batch;
    queue->last = batch;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static Batch *first_remove(BatchQueue *queue)
{
    Batch *batch = queue->first;
    if (batch != NULL) queue->first = batch->next;
    return batch;
}

Batch *batch_queue_take(BatchQueue *queue)
{
    pthread_mutex_lock(&queue->lock);
    Batch *batch = first_remove(queue);
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

Batch *batch_queue_wait(BatchQueue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->first == NULL && !queue->is_closed)
        pthread_cond_wait(&queue->changed, &queue->lock);
    Batch *batch = first_remove(queue);
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

void batch_queue_close(BatchQueue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->is_closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}
