import Base

/// One figure: something the broker does for each message, to be done many times in a row.
struct Operation: Sendable {
    /// Does the work and returns how many operations it was.
    typealias Work = () throws -> Int

    let name: String
    /// Gets ready in an empty directory, warms up, and hands over the work to be counted.
    let prepare: @Sendable (_ directory: String) throws -> Work

    /// All figures, in the order in which they are shown.
    static let catalogue =
        StoreOperations.all + MaintenanceOperations.all + CodecOperations.all
        + BrokerOperations.all
}

/// Why an operation did not do what is to be counted.
struct WrongRun: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// What all operations work on.
enum Sample {
    /// A canonical header block.
    static let headers = Array("content-type:application/json\ntrace:5f2b7c1e9d04\n".utf8)

    /// 256 bytes.
    static let body = Array(
        (#"{"order":48213,"customer":"c-77120","lines":[{"sku":"A-1009","count":2,"cents":1295},"#
            + #"{"sku":"B-4410","count":1,"cents":8990},{"sku":"C-0071","count":12,"cents":45}],"#
            + #""currency":"EUR","ship":"express","note":"leave it with the neighbours at no. "#
            + #"7, please"}  "#).utf8
    )

    static let time = Instant(
        monotonic: MonotonicTime(nanoseconds: 0),
        wall: WallTime(milliseconds: 1_700_000_000_000)
    )
}
