/// A hundred messages in each transaction, sent to one queue; nobody reads it.
extension Family {
    static let transactions = Family(name: "transactions", workloads: [1, 8].map(transactions))

    private static func transactions(producers: Int) -> Workload {
        .timed(
            "transactions-p\(producers)",
            "\(producers) producers, 2 transactions of 100 messages of 256 bytes in flight each",
            peers: [.rabbitmq, .activemq],
            load: Load(producers: producers, window: 2, transactionLength: 100)
        )
    }
}
