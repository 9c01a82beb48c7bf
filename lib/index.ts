/** Pagewright: typed virtual-memory-area capabilities on Effect, over a simulated Linux mm. Floor 10. */
export {}
