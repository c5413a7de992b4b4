import Testing

/// Expects a condition whose evaluation changes what it asks, which `#expect` does not allow.
func expectHolds(_ condition: Bool, _ location: SourceLocation = #_sourceLocation) {
    #expect(condition, sourceLocation: location)
}
