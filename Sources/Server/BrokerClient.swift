import Base
import Broker

/// One connection, as the broker loop sees it, whatever protocol it speaks.
///
/// Confinement: broker loop.
protocol BrokerClient: AnyObject {
    /// Its place in the loop's table of connections; the loop's own note.
    var connectionIndex: Int { get set }

    /// Writes a message into the output, to be flushed at the end of the turn at the latest.
    func deliver(_ delivery: Delivery)

    /// Tells the client that it broke a rule or was dropped, and closes.
    func fail(_ error: BrokerError)

    /// Gives all receipts that wait for no more than `durable`; true if others still wait.
    func releaseReceipts(through durable: AppendID) -> Bool

    /// Stops or resumes reading, if this connection sends messages.
    func holdReading(_ isHeld: Bool)

    /// Ends the connection if its client may not be here any more, or may do something else; true then.
    func recheckAccess() -> Bool

    /// Sends what was written into the output since the last call; nothing to do if nothing was.
    func flush()

    /// Does what time alone brings, and returns how soon it wants to be asked again.
    func tick() -> Interval

    /// Ends the connection because the daemon ends, after the receipts that wait.
    func stop()
}
