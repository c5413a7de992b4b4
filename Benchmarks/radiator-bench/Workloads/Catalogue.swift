/// Everything that can be measured, in the order in which it is.
///
///     send-BODY-pP-wW[-RULE]          producers to one queue; nobody reads
///     receive-cC-prefetchN[-STATE]    consumers of what is there: hot, cold, packed
///     pipe-BODY-PxC[-prefetch1]       producers and consumers at once
///     paced-RATE                      latency at so many messages a second
///     fanout-1-to-N, topic-1-to-100   one message to many
///     transactions-pP                 a hundred messages in each
///     queues-N                        the same work over many queues
///     idle-connections, churn         connections that say nothing, or come and go
///     restart-1M                      first answer and first message after the end
///     backlog-256-N                   memory, restart and drain of what nobody read
///     disk-BODY, packed               bytes on the disk and to it
///     bad-neighbours                  what clients that misbehave cost the others
let catalogue: [Family] = [
    .send, .receive, .pipe, .paced, .fanout, .topic, .transactions, .queues, .idle, .churn,
    .restart, .backlog, .disk, .packed, .neighbours,
]
