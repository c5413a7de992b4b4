import Base
package import Broker

extension Configuration {
    /// The broker's copy of what the configuration says about destinations and limits.
    package var brokerSettings: BrokerSettings {
        var settings = BrokerSettings()
        settings.createAllow = create.allow
        settings.queueDefaults = Queue(defaults: defaults).policy
        settings.prefetch = defaults.prefetch
        settings.queues = queue.map { rule in
            BrokerSettings.Rule(
                pattern: rule.name.isEmpty ? rule.match : rule.name,
                isPattern: rule.name.isEmpty,
                policy: rule.policy
            )
        }
        settings.fanouts = fanout.map { rule in
            BrokerSettings.FanoutRule(name: rule.name, children: rule.children)
        }
        settings.topics = topic.map { rule in
            BrokerSettings.Rule(
                pattern: rule.name.isEmpty ? rule.match : rule.name,
                isPattern: rule.name.isEmpty,
                policy: rule.policy
            )
        }
        settings.limits.connections = limits.connections
        settings.limits.subscriptionsPerConnection = limits.subscriptionsPerConnection
        settings.autoDeleteAfter = create.autoDeleteAfter
        settings.limits.temporaryQueuesPerConnection = limits.temporaryQueuesPerConnection
        settings.limits.destinations = limits.destinations
        settings.limits.transactionsPerConnection = limits.transactionsPerConnection
        settings.limits.transactionMessages = limits.transactionMessages
        settings.limits.transactionBytes = limits.transactionBytes.bytes
        settings.limits.transactionAge = limits.transactionAge
        settings.limits.openTransactionBytes = limits.openTransactionBytes.bytes
        return settings
    }
}

extension Configuration.Queue {
    /// A memory queue is never without a limit: 0 means the broker's default there.
    fileprivate var policy: BrokerSettings.QueuePolicy {
        var policy = BrokerSettings.QueuePolicy()
        switch storage {
        case .persistent:
            policy.storage = .persistent
            policy.bytesMax = maxBytes.bytes
        case .memory:
            policy.storage = .memory
            policy.bytesMax =
                maxBytes.bytes == 0 ? BrokerSettings.memoryQueueBytesDefault : maxBytes.bytes
        }
        policy.prefetch = prefetch
        policy.messagesMax = maxMessages
        policy.overflow =
            switch overflow {
            case .reject: .reject
            case .dropOldest: .dropOldest
            }
        policy.ackTimeout = ending.ackTimeout
        policy.ackTimeoutMax = ending.ackTimeoutMax
        policy.deliveriesMax = ending.maxDeliveries
        policy.deadLetter = ending.deadLetter
        policy.deadLettersExpired = ending.deadLetterExpired
        policy.requeueDelays = ending.requeueDelay
        policy.timeToLive = ending.messageTTL
        return policy
    }
}

extension Configuration.Topic {
    fileprivate var policy: BrokerSettings.TopicPolicy {
        var policy = BrokerSettings.TopicPolicy()
        policy.bufferBytes = buffer.bytes
        policy.slowConsumer =
            switch slowConsumer {
            case .drop: .drop
            case .disconnect: .disconnect
            }
        return policy
    }
}
