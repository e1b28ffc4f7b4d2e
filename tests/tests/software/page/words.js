export const words = 'All that is gold does not glitter';
