/// Ends the process with `reason` when `condition` is false, in release builds too.
///
/// For our own bugs only. What a peer or the disk can cause is a typed error. `precondition` would
/// trap without its message in a release build, so this calls `fatalError`.
@inlinable
package func invariant(
    _ condition: @autoclosure () -> Bool,
    _ reason: @autoclosure () -> String,
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition() {
        fatalError("invariant broken: \(reason())", file: file, line: line)
    }
}
